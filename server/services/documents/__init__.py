"""What a run leaves with people and CI: comment, JUnit, HTML report."""
