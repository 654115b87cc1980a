"""Deployments as the ledger keeps them: who trades, by which version's code, and what the account keeps to."""

from executor.deployments.members import Active, DeployedMember, active, members

__all__ = ["Active", "DeployedMember", "active", "members"]
