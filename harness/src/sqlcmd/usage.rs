//! What `-?` prints.

use super::options::Flavour;

const SQLCMD: &str = "\
usage: sqlcmd            [-U login id]          [-P password]
  [-S server]            [-H hostname]          [-E trusted connection]
  [-N encrypt connection][-C trust server certificate]
  [-d use database name] [-l login timeout]     [-t query timeout]
  [-h headers]           [-s colseparator]      [-w screen width]
  [-a packetsize]        [-e echo input]        [-I enable quoted identifiers]
  [-c cmdend]            [-q \"cmdline query\"]   [-Q \"cmdline query\" and exit]
  [-m errorlevel]        [-V severitylevel]     [-W remove trailing spaces]
  [-r[0|1] msgs to stderr]
  [-i inputfile]         [-o outputfile]        [-v var = \"value\"...]
  [-b on error batch abort]
  [-X[1] disable commands (they always are) [and exit]]
  [-y variable length type display width]
  [-Y fixed length type display width]
  [-x disable variable substitution]
  [-k[1|2] remove[replace] control characters]
  [-u unicode output files]
  [-n remove numbering]
  [-? show syntax summary]

Without -S, or for this machine: the running 'vdisim serve' of the namespace, else
a server in this process whose databases are kept in the namespace's data folder.
";

const OSQL: &str = "\
usage: osql              [-U login id]          [-P password]
  [-S server]            [-H hostname]          [-E trusted connection]
  [-d use database name] [-l login timeout]     [-t query timeout]
  [-h headers]           [-s colseparator]      [-w columnwidth]
  [-a packetsize]        [-e echo input]        [-I enable quoted identifiers]
  [-c cmdend]            [-q \"cmdline query\"]   [-Q \"cmdline query\" and exit]
  [-n remove numbering]  [-m errorlevel]
  [-r[0|1] msgs to stderr]
  [-i inputfile]         [-o outputfile]
  [-b on error batch abort]
  [-? show syntax summary]

Without -S, or for this machine: the running 'vdisim serve' of the namespace, else
a server in this process whose databases are kept in the namespace's data folder.
";

/// The summary of a client's options.
pub fn usage(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Sqlcmd => SQLCMD,
        Flavour::Osql => OSQL,
    }
}
