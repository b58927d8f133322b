"""Typical scenarios, one for each application; see budget.scenario.schema for their keys."""
