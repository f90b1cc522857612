"""How a failure becomes a test: reports, drafts, proof, acceptance, waivers, promotion."""
