//! The modes of the self-test.

/// One way of moving a backup.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Its name.
    pub name: &'static str,
    /// What is special about it.
    pub about: &'static str,
    /// Number of devices.
    pub devices: usize,
    /// Bytes a device.
    pub size: u64,
    /// More options of `vdisim client`.
    pub client: &'static [&'static str],
    /// More options of `vdisim backup` and `restore`.
    pub server: &'static [&'static str],
}

const MIB: u64 = 1024 * 1024;

const PLAIN: Mode = Mode {
    name: "pipe",
    about: "one pipe-like device",
    devices: 1,
    size: 16 * MIB,
    client: &[],
    server: &[],
};

/// Every mode, in the order of the table.
pub const MODES: &[Mode] = &[
    PLAIN,
    Mode {
        name: "odd-size",
        about: "a last block that is not full",
        size: 3 * MIB + 4_099,
        ..PLAIN
    },
    Mode { name: "one-byte", about: "a stream of one byte", size: 1, ..PLAIN },
    Mode { name: "empty", about: "a stream of no bytes", size: 0, ..PLAIN },
    Mode {
        name: "complete",
        about: "VDC_Complete asked for and granted",
        client: &["--features", "RequestComplete"],
        ..PLAIN
    },
    Mode {
        name: "tape",
        about: "one tape-like device, with filemarks and positions",
        client: &["--features", "LikeTape"],
        ..PLAIN
    },
    Mode {
        name: "disk",
        about: "one disk-like device, with byte positions",
        client: &["--features", "LikeDisk"],
        ..PLAIN
    },
    Mode {
        name: "prefix-zone",
        about: "a prefix zone and an alignment of 4096",
        client: &["--prefix-zone", "1024", "--alignment", "4096"],
        ..PLAIN
    },
    Mode {
        name: "small-transfers",
        about: "64 KiB transfers, 3 buffers",
        server: &["--maxtransfersize", "65536", "--buffercount", "3"],
        ..PLAIN
    },
    Mode {
        name: "large-blocks",
        about: "64 KiB blocks, 4 MiB transfers",
        server: &["--blocksize", "65536", "--maxtransfersize", "4194304"],
        ..PLAIN
    },
    Mode {
        name: "threads",
        about: "four devices, a thread each",
        devices: 4,
        size: 8 * MIB,
        ..PLAIN
    },
    Mode {
        name: "processes",
        about: "four devices, a secondary process each",
        devices: 4,
        size: 8 * MIB,
        client: &["--processes"],
        ..PLAIN
    },
    Mode {
        name: "by-handle",
        about: "a second process maps the buffers by handle and moves the bytes",
        client: &["--by-handle"],
        ..PLAIN
    },
    Mode {
        name: "by-handle-4",
        about: "the same with four devices",
        devices: 4,
        size: 4 * MIB,
        client: &["--by-handle"],
        ..PLAIN
    },
    Mode {
        name: "many-devices",
        about: "64 devices share 8 buffers",
        devices: 64,
        size: MIB / 2,
        server: &["--buffercount", "8", "--maxtransfersize", "65536"],
        ..PLAIN
    },
];
