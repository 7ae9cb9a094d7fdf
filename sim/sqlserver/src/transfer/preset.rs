//! Fault plans with names: the famous pains of backup clients, ready to be had.

/// A fault plan that has a name of its own.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The name.
    pub name: &'static str,
    /// What a client sees.
    pub about: &'static str,
    /// The plan.
    pub yaml: &'static str,
}

/// The plans with names.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "late-attach",
        about: "the server comes after 15 s: GetConfiguration with a shorter time-out fails",
        yaml: "{at: {stage: started}, do: {delay: 15s}}",
    },
    Preset {
        name: "abort-mid-stream",
        about: "SignalAbort in place of the third command: every call returns VD_E_ABORT",
        yaml: "{at: {nth: 3}, do: abort}",
    },
    Preset {
        name: "close-mid-stream",
        about: "the device closes in place of the third command: VD_E_CLOSE, but no success",
        yaml: "{at: {nth: 3}, do: close}",
    },
    Preset {
        name: "kill-mid-stream",
        about: "the server is killed in place of the third command",
        yaml: "{at: {nth: 3}, do: kill}",
    },
    Preset {
        name: "stall-mid-stream",
        about: "the server sends nothing more after two commands",
        yaml: "{at: {nth: 3}, do: stall}",
    },
    Preset {
        name: "kill-before-flush",
        about: "the server is killed when all data were written and nothing is durable",
        yaml: "{at: {stage: transferred}, do: kill}",
    },
    Preset {
        name: "disk-full",
        about: "the third Write counts as answered with ERROR_DISK_FULL (112): the BACKUP fails",
        yaml: "{at: {command: write, nth: 3}, do: {complete-as: 112}}",
    },
    Preset {
        name: "error-995",
        about: "the first Flush counts as answered with 995, which hides every true cause",
        yaml: "{at: {command: flush}, do: {complete-as: 995}}",
    },
    Preset {
        name: "slow-server",
        about: "3 s of silence in place of the third command: polling clients time out",
        yaml: "{at: {nth: 3}, do: {delay: 3s}}",
    },
    Preset {
        name: "abort-before-flush",
        about: "SignalAbort when all data were written and nothing is durable",
        yaml: "{at: {stage: transferred}, do: abort}",
    },
    Preset {
        name: "abort-while-configuring",
        about: "SignalAbort before the set is configured: GetConfiguration returns VD_E_ABORT",
        yaml: "{at: {stage: attached}, do: abort}",
    },
    Preset {
        name: "kill-before-complete",
        about: "the server is killed between Flush and Complete: the backup must not count",
        yaml: "{at: {stage: flushed}, do: kill}",
    },
    Preset {
        name: "never-attach",
        about: "no server comes: GetConfiguration returns VD_E_TIMEOUT (0x80770003)",
        yaml: "{at: {stage: started}, do: stall}",
    },
    Preset {
        name: "stall-at-flush",
        about: "the server goes quiet before Flush: nothing is durable, nobody says so",
        yaml: "{at: {stage: transferred}, do: stall}",
    },
    Preset {
        name: "flush-mid-stream",
        about: "a Flush behind the third Write, as with FILESTREAM: it is not the end of the data",
        yaml: "{at: {command: write, nth: 3}, do: flush}",
    },
    Preset {
        name: "random-abort",
        about: "SignalAbort in place of one of the first forty commands; the seed chooses",
        yaml: "{at: {nth: {between: [1, 40]}}, do: abort}",
    },
    Preset {
        name: "random-disk-full",
        about: "one of the first forty Writes counts as answered with ERROR_DISK_FULL (112)",
        yaml: "{at: {command: write, nth: {between: [1, 40]}}, do: {complete-as: 112}}",
    },
    Preset {
        name: "exhaust-memory",
        about: "BUFFERCOUNT x MAXTRANSFERSIZE beyond all memory: VD_E_MEMORY at configuration",
        yaml: "{at: {stage: configuring}, do: exhaust-memory}",
    },
    Preset {
        name: "missing-object",
        about: "the buffers' object is gone: 'Open(hBufferMemory): error 2', then VD_E_ABORT",
        yaml: "{at: {stage: attached}, do: {drop-in: missing-object}}",
    },
    Preset {
        name: "permission",
        about: "the buffers' object is another user's: 'Open(hBufferMemory): error 13'",
        yaml: "{at: {stage: attached}, do: {drop-in: permission}}",
    },
    Preset {
        name: "runs-as-other",
        about: "another account serves: a umask that keeps the group out ends in error 2 and VD_E_ABORT",
        yaml: "{at: {stage: attached}, do: {runs-as: other}}",
    },
    Preset {
        name: "create-refused",
        about: "shared memory is full before a server comes: Create returns VD_E_MEMORY",
        yaml: "{at: {stage: creating}, do: {drop-in: memory}}",
    },
    Preset {
        name: "create-forbidden",
        about: "shared memory is closed to the client: Create returns VD_E_SECURITY",
        yaml: "{at: {stage: creating}, do: {drop-in: permission}}",
    },
    Preset {
        name: "version-mismatch",
        about: "the buffers are of another version of the library: the wrong one is loaded",
        yaml: "{at: {stage: attached}, do: {drop-in: version-mismatch}}",
    },
    Preset {
        name: "memory-refused",
        about: "the client cannot map the buffers: 'Open(hBufferMemory): error 12'",
        yaml: "{at: {stage: attached}, do: {drop-in: memory}}",
    },
];

/// All names, for messages.
pub(super) fn preset_names() -> String {
    PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::FaultPlan;
    use super::PRESETS;

    // Catches: a preset whose text is no plan.
    #[test]
    fn every_preset_is_a_plan() {
        for preset in PRESETS {
            assert!(!FaultPlan::load(preset.name).unwrap().is_empty(), "{}", preset.name);
        }
    }
}
