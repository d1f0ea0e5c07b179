"""Structures of an SDF file (MDL molfiles with data fields) as rows: a SMILES by RDKit, the name, the data fields."""

from __future__ import annotations

import io

import polars as pl
from rdkit import Chem

from seqsci.domains.molecules.molecule import quiet
from seqsci.errors import SeqsciError

SDF_ENDINGS = (".sdf", ".sd", ".mol")
SMILES, NAME = "_smiles", "name"


def structures(text: str, origin: str) -> pl.DataFrame:
    """A row per structure with `SMILES` ("" where RDKit cannot read it), `NAME` (null where blank) and its data fields.

    Raises:
        SeqsciError: there is no structure at all.
    """
    rows: list[dict[str, str | None]] = []
    with quiet():
        supplier = Chem.ForwardSDMolSupplier(io.BytesIO(text.encode()))
        while not supplier.atEnd():
            try:
                molecule = next(supplier)
            except StopIteration:
                break
            except (RuntimeError, ValueError, OSError):
                # What RDKit throws instead of giving None, at a file that ends within a structure.
                molecule = None
            rows.append({SMILES: "", NAME: None} if molecule is None else _row(molecule))
    if not any(row[SMILES] for row in rows):
        raise SeqsciError(f"{origin}: RDKit finds no structure in it; is it an SDF file (V2000 or V3000)?")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame(
        {name: [row.get(name) for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String)
    )


def _row(molecule: Chem.Mol) -> dict[str, str | None]:
    fields = {name: _field(molecule, name) for name in molecule.GetPropNames()}
    name = _field(molecule, "_Name") if molecule.HasProp("_Name") else ""
    # A data field called `name` is kept where the header of the structure says nothing.
    return {SMILES: Chem.MolToSmiles(molecule), **fields, NAME: name or fields.get(NAME)}


def _field(molecule: Chem.Mol, name: str) -> str:
    try:
        return str(molecule.GetProp(name)).strip()
    except UnicodeDecodeError:
        return ""
