"""One module per subject; every function scenario_… is a scenario and gets a lab.Lab."""
