//! Which server `-S` means.

/// The port of a default instance.
const DEFAULT_PORT: u16 = 1433;

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This machine's: the one of the namespace.
    Here {
        /// The named instance, if it is not the default one.
        instance: Option<String>,
        /// The port, if one is named that is not the default one.
        port: Option<u16>,
    },
    /// Another machine's, by TCP.
    Network {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// Named instance, or empty.
        instance: String,
    },
}

/// A server name that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no server: {reason}.")]
pub struct TargetError {
    name: String,
    reason: &'static str,
}

impl Target {
    /// Reads `[tcp:|np:|lpc:|admin:]host[\instance][,port]`. `machine` is this machine's name.
    ///
    /// # Errors
    /// A port that is none, or a pipe or shared memory of another machine.
    pub fn parse(name: &str, machine: &str) -> Result<Target, TargetError> {
        let wrong = |reason| TargetError { name: name.to_owned(), reason };
        let (protocol, rest) = match name.split_once(':') {
            Some((protocol, rest)) if is_protocol(protocol) => (protocol, rest),
            _ => ("", name),
        };
        let (rest, port) = match rest.rsplit_once(',') {
            Some((rest, port)) => {
                let port = port.trim().parse().ok().filter(|port| *port > 0);
                (rest, Some(port.ok_or_else(|| wrong("the port has to be 1 to 65535"))?))
            }
            None => (rest, None),
        };
        let (host, instance) = rest.split_once('\\').unwrap_or((rest, ""));
        let (host, instance) = (host.trim(), instance.trim());
        if is_here(host, machine) {
            // The default instance may be called by its service's name.
            let instance = Some(instance)
                .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("MSSQLSERVER"));
            let port = port.filter(|port| *port != DEFAULT_PORT);
            return Ok(Target::Here { instance: instance.map(str::to_owned), port });
        }
        if matches!(protocol.to_lowercase().as_str(), "np" | "lpc") {
            return Err(wrong("other machines are reached by TCP alone; leave np: and lpc: out"));
        }
        Ok(Target::Network {
            host: host.to_owned(),
            port: port.unwrap_or(DEFAULT_PORT),
            instance: instance.to_owned(),
        })
    }
}

fn is_protocol(word: &str) -> bool {
    ["tcp", "np", "lpc", "admin"].iter().any(|protocol| word.eq_ignore_ascii_case(protocol))
}

fn is_here(host: &str, machine: &str) -> bool {
    let short = machine.split('.').next().unwrap_or(machine);
    ["", ".", "(local)", "localhost", machine, short]
        .iter()
        .any(|name| host.eq_ignore_ascii_case(name))
}

/// This machine's name, as its operating system has it.
pub(super) fn machine_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // Catches: a way to write this machine that is sent into the network, a lost instance.
    #[rstest]
    #[case("", None, None)]
    #[case(".", None, None)]
    #[case("(local)", None, None)]
    #[case("LOCALHOST,1433", None, None)]
    #[case("tcp:localhost,14330", None, Some(14330))]
    #[case("np:.\\SQL2016", Some("SQL2016"), None)]
    #[case("lpc:(local)\\MSSQLSERVER", None, None)]
    #[case("box.example.org", None, None)]
    #[case("Box\\X", Some("X"), None)]
    fn here(#[case] name: &str, #[case] instance: Option<&str>, #[case] port: Option<u16>) {
        let instance = instance.map(str::to_owned);
        assert_eq!(Target::parse(name, "box.example.org"), Ok(Target::Here { instance, port }));
    }

    // Catches: another machine taken for this one, a port or an instance lost.
    #[rstest]
    #[case("other", "other", 1433, "")]
    #[case("tcp:10.0.0.7\\X,14330", "10.0.0.7", 14330, "X")]
    #[case("127.0.0.1,5", "127.0.0.1", 5, "")]
    fn elsewhere(
        #[case] name: &str,
        #[case] host: &str,
        #[case] port: u16,
        #[case] instance: &str,
    ) {
        let (host, instance) = (host.to_owned(), instance.to_owned());
        assert_eq!(Target::parse(name, "box"), Ok(Target::Network { host, port, instance }));
    }

    // Catches: a port that overflows or is no number.
    #[rstest]
    #[case("other,0")]
    #[case("other,70000")]
    #[case("other,x")]
    #[case("np:other")]
    fn nowhere(#[case] name: &str) {
        assert!(Target::parse(name, "box").is_err());
    }
}
