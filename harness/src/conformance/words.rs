//! A case in words: what is played and what is judged.

use vdi_protocol::{CommandCode, CompletionCode};

use super::case::{Case, Check, Trial};
use super::script::{Content, Item, Script, Step};

impl Case {
    /// What is played, a line a statement.
    pub fn scenario(&self) -> Vec<String> {
        match &self.trial {
            Trial::Client(trial) => trial.acts.iter().map(statement).collect(),
            Trial::Cell(cell) => vec![format!(
                "a set is taken to the state {}; {:?} is called{}",
                cell.state,
                cell.call,
                match cell.variant {
                    "" => String::new(),
                    variant => format!(" ({})", variant.replace('-', " ")),
                }
            )],
            Trial::ServerCell(cell) => {
                vec![format!(
                    "a set is taken to the state {}; the server half calls {:?}",
                    cell.state, cell.call
                )]
            }
            Trial::RoundTrip(mode) => {
                vec![format!("backup and restore of {} bytes: {}", mode.size, mode.about)]
            }
        }
    }

    /// What is judged.
    pub fn judgements(&self) -> Vec<String> {
        match &self.trial {
            Trial::Client(trial) => trial.checks.iter().map(|check| judgement(*check)).collect(),
            Trial::Cell(cell) => {
                vec![format!("it returns {}", cell.result.name().unwrap_or("another status"))]
            }
            Trial::ServerCell(cell) => {
                vec![format!("it returns {}", cell.result.name().unwrap_or("another status"))]
            }
            Trial::RoundTrip(_) => vec!["every byte comes back and nothing is left".to_owned()],
        }
    }
}

fn statement(script: &Script) -> String {
    let steps: Vec<_> = script.steps.iter().map(step).collect();
    let mut head = format!(
        "{} with blocks of {}, transfers of at most {}",
        script.operation.name().to_uppercase(),
        script.block_size,
        script.max_transfer_size
    );
    if script.depth > 1 {
        head.push_str(&format!(", {} commands under way", script.depth));
    }
    if let Content::Byte(byte) = script.content {
        head.push_str(&format!(", every byte {byte:#04x}"));
    }
    if !script.offers_complete {
        head.push_str(", without VDC_Complete");
    }
    format!("{head}: {}", steps.join(", "))
}

fn step(step: &Step) -> String {
    match step {
        Step::Attach => "open the set".to_owned(),
        Step::Configure => "configure".to_owned(),
        Step::Open => "open the devices".to_owned(),
        Step::Write { bytes, size } => format!("Write {bytes} bytes by {size}"),
        Step::WriteAt { position, size } => format!("Write {size} bytes at {position}"),
        Step::Read { bytes, size } => format!("Read {bytes} bytes by {size}"),
        Step::ReadToEnd { size } => format!("Read to the end by {size}"),
        Step::ReadAt { position, size } => format!("Read {size} bytes at {position}"),
        Step::ReadBehindEnd { size } => format!("Read {size} bytes behind the end"),
        Step::Send(items) => {
            format!("send at once {}", items.iter().map(item).collect::<Vec<_>>().join(" "))
        }
        Step::Await => "wait for the answers".to_owned(),
        Step::Command { code, .. } => CommandCode(*code).to_string(),
        Step::SetToLastPosition => "SetPosition to the last GetPosition".to_owned(),
        Step::StreamAt(at) => format!("expect byte {at} next"),
        Step::ClearError => "ClearError".to_owned(),
        Step::Flush => "Flush".to_owned(),
        Step::Complete => "Complete if agreed".to_owned(),
        Step::MoreBuffers => "add buffers".to_owned(),
        Step::Pause(time) => format!("be silent for {time} ms"),
        Step::Abort => "SignalAbort".to_owned(),
        Step::Die => "the server dies".to_owned(),
        Step::KillClient => "the client is killed".to_owned(),
        Step::KillSecondary => "a secondary process of the client is killed".to_owned(),
        Step::Close => "close".to_owned(),
        Step::AsOther => "go on as another account of the client's group".to_owned(),
        Step::Refuse => "the statement is refused".to_owned(),
        Step::FailStatement => "the statement fails all the same".to_owned(),
    }
}

fn item(item: &Item) -> String {
    match item {
        Item::Write(size) => format!("Write({size})"),
        Item::Read(size) => format!("Read({size})"),
        Item::Command(code, ..) => CommandCode(*code).to_string(),
    }
}

fn judgement(check: Check) -> String {
    if let Check::Answers(code, good) = check {
        let good: Vec<_> = good.iter().map(ToString::to_string).collect();
        return format!("{code} is answered with {}", good.join(" or "));
    }
    if let Check::Supports(code) = check {
        return format!("{code} is not answered with {}", CompletionCode::ERROR_NOT_SUPPORTED);
    }
    let text = match check {
        Check::Answers(..) | Check::Supports(_) => "",
        Check::Played => "the statements go through",
        Check::FullTransfers => "every transfer is full",
        Check::NoMoreThanAsked => "no transfer claims more than it had",
        Check::ClaimedIsWritten => "what a Read claims stands in its buffer",
        Check::Returned => "every byte comes back",
        Check::NothingBehindEnd => "nothing comes behind the end",
        Check::InBounds => "only the command's bytes are written",
        Check::HandsOff => "no buffer is touched after its command was completed",
        Check::SaidEnd => "the last Read tells the end",
        Check::FlushBehindWrites => "no Flush is answered before an earlier Write",
        Check::Refused => "something is refused",
        Check::RefusedByCode => "the refusal's code means a full medium",
        Check::PositionsMove => "positions move with Writes",
        Check::NoPosition => "no Read or Write is answered with a position",
        Check::PositionAnswered => "SetPosition is answered with its position",
        Check::SawClose => "GetCommand returned VD_E_CLOSE for every device",
        Check::CallsClose => "Close is called",
        Check::NoEarlyClose => "Close never returns VD_E_OPEN",
        Check::NoCallAfterClose => "no device is called after Close",
        Check::NoCallAfterEnd => "no GetCommand after VD_E_CLOSE",
        Check::HeedsAbort => "after VD_E_ABORT the client stops asking, and ends",
        Check::ClosesAfterAbort => "Close is called after the abort",
        Check::EveryCommandCompleted => "every command is completed",
        Check::CompletedOnce => "no CompleteCommand returns VD_E_INVALID",
        Check::CommandsUnchanged => "no VDC_Command is written to",
        Check::CreatesOnce => "Create is called once",
        Check::ConfiguresFirst => "GetConfiguration succeeds before OpenDevice",
        Check::OpensEachOnce => "each device is opened once, by its name",
        Check::ListedFeatures => "the features are a combination that is described",
        Check::NoServerBits => "the server's bits are not asked for",
        Check::NoUnknownBits => "no bit without a name is asked for",
        Check::SoftFileMarks => "soft filemarks are asked for with VDF_FileMarks only",
        Check::OutputsZero => "the output fields are 0 at Create",
        Check::GroupAccess => "the group may read and write the shared objects",
        Check::NothingLeft => "no shared object is left",
        Check::NobodyLeft => "no process of the client is left",
        Check::FailsWhenCutOff => "the exit code is not 0",
        Check::WithinServerTimeOut => "no command takes longer than the client's serverTimeOut",
        Check::AbortsForSecondary => "the client aborts the set when a secondary process has died",
        Check::ReportsSuccess => "the client says that it succeeded where the server said so",
        Check::Syncs => "fsync or the like was called",
        Check::OneProcessADevice => "each device is opened in a process of its own",
        Check::SecondariesClose => "every process that joined closes the set",
        Check::JoinsInOrder => "every OpenInSecondary succeeds",
        Check::HandlesCross => "handles are mapped in another process",
        Check::AskerCompletes => "the process that got the handle completes the command",
    };
    text.to_owned()
}
