"""From documents to the ledger, and from the ledger to the views."""
