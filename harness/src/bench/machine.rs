//! Where it is measured.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::results::Machine;

impl Machine {
    /// This one.
    pub fn here() -> Machine {
        let kind = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(kind).ok();
        let first = system.as_ref().and_then(|system| system.cpus().first());
        let processor = first.map(|cpu| cpu.brand().trim().to_owned());
        Machine {
            processor: processor
                .filter(|brand| !brand.is_empty())
                .unwrap_or_else(|| "unknown".to_owned()),
            cpus: u32::try_from(vdi_region::usable_cpus()).unwrap_or(u32::MAX),
            memory: system.as_ref().map_or(0, System::total_memory),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            kernel: System::kernel_version().unwrap_or_default(),
        }
    }
}
