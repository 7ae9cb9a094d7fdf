//! Leases: marks on an object that the kernel takes away with the process that set them.

/// Which side of an object a lease speaks for. Each role has at most one holder at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseRole {
    /// Who made the object; taken by [`Region::create`](crate::Region::create).
    Creator,
    /// Who attached to it as the other side.
    Attacher,
}

/// What came of asking for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a lease that somebody else holds has not been taken"]
pub enum Lease {
    /// This region holds the lease now (or held it already).
    Taken,
    /// Somebody else holds it and lives.
    HeldByAnother,
}
