"""Where a recipe becomes a run: it joins a domain, an encoder and a task, and hands them to Lightning."""
