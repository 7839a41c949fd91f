"""Batches from and to object stores: listing, planning, transfer and skipping."""

from restore.batch.stores.planning import StorePlan, plan_stores

__all__ = ["StorePlan", "plan_stores"]
