//! The whole look.

use std::path::{Path, PathBuf};

use vdi_device::Environment;

use super::finding::{Finding, Level};
use super::{client, drop_in, memory, objects};

/// What to look at besides the machine.
#[derive(Clone, Debug, Default)]
pub struct Examination {
    /// Remove what killed processes left.
    pub clean: bool,
    /// A client's executable.
    pub client: Option<PathBuf>,
    /// Where the drop-in is said to be.
    pub drop_in: Option<PathBuf>,
}

/// Looks at everything. The environment is unusable if a finding is [`Level::Bad`].
pub fn examine(examination: &Examination) -> Vec<Finding> {
    let mut findings = Vec::new();
    match Environment::from_process() {
        Ok(environment) => {
            findings.push(Finding::new(
                "environment",
                Level::Good,
                format!("namespace '{}', backend {}.", environment.namespace, environment.backend),
            ));
            findings.extend(memory::examine(&environment));
            findings.extend(objects::examine(&environment, examination.clean));
        }
        Err(error) => {
            findings.push(Finding::new("environment", Level::Bad, format!("{error}.")));
        }
    }
    let (found, drop_in) = drop_in::examine(examination.drop_in.as_deref());
    findings.extend(found);
    #[cfg(windows)]
    findings.extend(super::registration::examine(drop_in.as_deref()));
    if let Some(path) = &examination.client {
        findings.extend(client::examine_client(path, drop_in.as_deref().map(Path::as_ref)));
    }
    findings
}
