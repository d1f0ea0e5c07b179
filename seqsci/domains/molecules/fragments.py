"""The building blocks of the simulated molecules, as pieces of SMILES; `{0}`, `{1}`, `{2}` are places for an arm.

Cores close their rings with the numbers 1 to 3, arms with 8 and 9, so that one can stand inside the other.
"""

from __future__ import annotations

CORES = (
    "c1cc({0})ccc1{1}",
    "c1c({0})cc({1})cc1{2}",
    "c1nc({0})ccc1{1}",
    "c1nc({0})nc({1})c1{2}",
    "c1nc({0})cnc1{1}",
    "c1({0})cc({1})n[nH]1",
    "c1({0})nc({1})cs1",
    "c1({0})cc({1})on1",
    "c1({0})nnc({1})o1",
    "c1({0})ccc({1})s1",
    "c1({0})ccc2[nH]c({1})c({2})c2c1",
    "c1({0})ccc2nc({1})[nH]c2c1",
    "c1({0})ccc2ncnc({1})c2c1",
    "c1({0})ccc2nc({1})ccc2c1",
    "c1({0})nc2sc({1})cc2c({2})n1",
    "c1({0})nc({1})c2[nH]cnc2n1",
    "[C@@H]1({0})CCCN1C(=O){1}",
    "[C@H]1({0})CC[C@@H]({1})CC1",
    "C1C({0})[C@@H]({1})OC[C@@H]1C",
    "O=C1Nc2ccc({0})cc2C[C@H]1{1}",
    "O=C1NC(=O)C({0})(c2ccc({1})cc2)N1",
    "C1({0})C2CC3CC1CC({1})(C3)C2",
    "c1({0})ccc(/C=C/C(=O){1})cc1",
    "C({0})(=O)N/N=C\\c1ccc({1})o1",
    "C({0})CC{1}",
    "C({0})[C@H](O)C{1}",
)
"""What a molecule is built on; each place is on a carbon."""
BASES = (
    "C1({0})CCN({1})CC1",
    "N1({0})CCN({1})CC1",
    "n1({0})cc({1})nn1",
    "N1({0})C[C@@H]({1})OC[C@@H]1C",
    "O=C1N({0})c2ccc({1})cc2C[C@H]1{2}",
    "c1({0})ccc2c(c1)OCCN2{1}",
)
"""More cores, of which some place is on a nitrogen: only arms that begin with a carbon are put there."""
LINKERS = (
    *("C", "CC", "O", "OC", "N", "NC", "S", "C(=O)", "C(=O)N", "C(=O)NC", "NC(=O)", "NC(=O)N", "S(=O)(=O)"),
    *("S(=O)(=O)N", "C(=O)N[C@@H](C)", "C(=O)N[C@H](CO)", "/C=C/", "/C=C\\", "C#C"),
)
"""Between a core and a ring."""
RINGS = (
    "c8ccccc8",
    "c8ccc(F)cc8",
    "c8ccc(Cl)cc8",
    "c8ccc(OC)cc8",
    "c8cccc(C(F)(F)F)c8",
    "c8ccncc8",
    "c8cccnc8",
    "c8ccco8",
    "c8cccs8",
    "c8cnn(C)c8",
    "C8CC8",
    "C8CCCC8",
    "C8CCCCC8",
    "C8CCOCC8",
    "N8CCOCC8",
    "N8CCCC8",
    "N8CCN(C)CC8",
    "c8ccc9ccccc9c8",
    "c8ccc9OCOc9c8",
)
"""Ends of arms with a ring."""
SUBSTITUENTS = (
    *("[H]", "[H]", "[H]", "C", "C", "CC", "C(C)C", "C(C)(C)C", "C(F)(F)F", "F", "F", "Cl", "Cl", "Br", "I", "C#N"),
    *("O", "OC", "OCC", "OC(F)F", "N", "NC", "N(C)C", "NC(C)=O", "C(C)=O", "C(=O)O", "C(=O)OC", "C(N)=O", "CO"),
    *("S(C)(=O)=O", "S(N)(=O)=O", "SC", "[N+](=O)[O-]", "C(=O)[O-]", "C[NH3+]", "C[N+](C)(C)C", "B(O)O", "P(=O)(O)O"),
    *("[C@H](C)O", "[C@@H](C)N", "[Si](C)(C)C", "/C=C/C", "/C=C\\C"),
)
"""Ends without one; some stand here more than once, being common."""
NITROGEN_BEARS = {
    kind: tuple(one for one in kind if one.startswith(("C", "c", "[C", "[H]", "S(=O)")) and one not in ("Cl", "C#N"))
    for kind in (LINKERS, RINGS, SUBSTITUENTS)
}
"""Those of each kind that may be bound to a nitrogen, oxygen or sulfur: nothing like N-I or N-O-N."""
CATIONS, ANIONS = ("[Na+]", "[K+]"), ("[Cl-]", "[Br-]")
ACIDS = ("Cl", "OC(=O)C(F)(F)F", "CS(=O)(=O)O")
"""What a base is crystallized with."""
