//! One family of a backup as it comes back.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use mtf::{
    Block, Checks, Configuration, EXTENT_PAGES, EXTENT_SIZE, Events, Family, Mstl, MtfError,
    PAGE_SIZE, PageId, Raid, Reader, Record, Sfin, Sset, StreamHeader, Tape, stream_id,
};
use vdi_region::SharedSlice;

use super::context::Context;
use super::facts::has_checksums;
use super::placing::{Place, place_of};
use super::whole::Round;
use crate::catalogue::{KeptPart, LogDamage, LogKeeper, LogReader, LogRecord, Pages};
use crate::messages::{Message, SeveralMessages};
use crate::session::TransferPlan;
use crate::transfer::{Ask, Sink, SinkError};

/// Bytes that are copied out of a shared buffer at a time: they are still in the cache when they are
/// checked.
const PIECE: usize = EXTENT_SIZE;

/// The head of a family: everything before its data.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) tape: Record<Tape>,
    pub(super) raid: Record<Raid>,
    pub(super) set: Record<Sset>,
    pub(super) configuration: Configuration,
}

impl Head {
    pub(super) fn family(&self) -> Family {
        Family::of(&self.tape, &self.raid, &self.set)
    }
}

/// Where what a family brings goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination<'d> {
    pub(super) pages: &'d Pages,
    /// Where a real server's log goes; none if it is not kept.
    pub(super) log: Option<&'d LogKeeper>,
}

/// Decides about a family's head before any of its data is used.
pub(super) trait Gate: Sync {
    /// Where pages and log go; none to check them only.
    ///
    /// # Errors
    ///
    /// The messages if the family cannot be used.
    fn admit(&self, device: usize, head: &Head)
    -> Result<Option<Destination<'_>>, SeveralMessages>;

    /// So many pages more are in their place.
    fn placed(&self, pages: u64) {
        let _ = pages;
    }
}

/// What a family has brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) records: Vec<LogRecord>,
    /// The extents of each block of data.
    pub(super) rounds: Vec<Round>,
    pub(super) log_bytes: u64,
    /// Virtual log files with log in the set, and whether this family carries it.
    pub(super) logs: Vec<(u32, bool)>,
    pub(super) foreign: BroughtLog,
    /// Whether some of it was taken in spite of damage.
    pub(super) is_damaged: bool,
    /// The sets asked for, with their configurations at the end.
    pub(super) sets: Vec<(Head, Option<Configuration>)>,
}

/// Log that this server did not write.
#[derive(Debug, Default)]
pub(super) struct BroughtLog {
    pub(super) parts: Vec<KeptPart>,
    /// Whether some of it was read in spite of damage.
    pub(super) is_damaged: bool,
}

/// How much of a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// What stands before the data.
    Head,
    /// All sets, but nothing of their data.
    Sets,
}

/// Bytes of a stream that hold all its head but for very long configurations.
const HEAD: u64 = 65536;

/// Takes the stream of one device.
pub(super) struct FamilySink<'j> {
    reader: Reader,
    taker: Taker<'j>,
    extent: Extent,
    /// Whether what follows the sets that were listed is none.
    is_over: bool,
    /// Bytes taken.
    taken: u64,
    piece: Vec<u8>,
}

struct Taker<'j> {
    context: &'j Context<'j>,
    gate: &'j dyn Gate,
    device: usize,
    name: &'j str,
    tape: Option<Record<Tape>>,
    raid: Option<Record<Raid>>,
    set: Option<Record<Sset>>,
    /// Sets that have begun.
    seen: u16,
    /// Position of the set on the media; none to list all sets.
    wanted: Option<u16>,
    /// Whether more is wanted of a set than what it says of itself.
    wants_data: bool,
    head: OnceLock<Head>,
    to: Option<Destination<'j>>,
    /// Pages of each data file of the set that is being read.
    files: HashMap<u16, u32>,
    log: Option<ComingLog>,
    /// The last virtual log file that was said to have none.
    vlf: u32,
    /// Pages of an extent that has not come whole.
    extent: Vec<u8>,
    brought: Brought,
    failed: Option<SeveralMessages>,
    continue_after_error: bool,
}

/// The log of a virtual log file on its way.
struct ComingLog {
    reader: LogReader,
    /// What of it is kept if it is a real server's.
    part: KeptPart,
    /// Whether that has its place.
    has_place: bool,
}

/// What stops a family: its messages.
#[derive(Debug)]
pub(super) enum Refused {
    Stream(MtfError),
    Log(LogDamage),
    Messages(SeveralMessages),
}

impl From<LogDamage> for Refused {
    fn from(damage: LogDamage) -> Self {
        Refused::Log(damage)
    }
}

impl From<MtfError> for Refused {
    fn from(error: MtfError) -> Self {
        Refused::Stream(error)
    }
}

impl Events for Taker<'_> {
    type Error = Refused;

    fn block(&mut self, block: &Block, _: u64) -> Result<(), Refused> {
        self.context.check_cancelled().map_err(|message| Refused::Messages(message.into()))?;
        if let Some(ComingLog { reader, part, .. }) = self.log.take() {
            let read = reader.finish()?;
            self.brought.logs.push((part.vlf, read.is_carried));
            self.brought.foreign.parts.extend(read.is_foreign.then_some(part));
            self.brought.records.extend(read.records);
        }
        match block {
            Block::Tape(tape) => self.tape = Some(tape.clone()),
            Block::Sset(set) => {
                self.set = Some(set.clone());
                self.seen = self.seen.saturating_add(1);
            }
            _ if !self.is_taken() => {}
            Block::Msda(_) => self.brought.rounds.push(Round::default()),
            Block::Mstl(log) if log.log_size() == 0 => self.vlf = log.get(Mstl::VLF_SEQUENCE),
            Block::Mstl(log) => {
                self.brought.log_bytes = self.brought.log_bytes.saturating_add(log.log_size());
                let part = KeptPart::announced(log);
                let reader = LogReader::new(part.vlf, part.first, part.end);
                self.log = Some(ComingLog { reader, part, has_place: false });
            }
            _ => {}
        }
        Ok(())
    }

    fn raid(&mut self, raid: &Record<Raid>) -> Result<(), Refused> {
        self.raid = Some(raid.clone());
        Ok(())
    }

    fn configuration(&mut self, configuration: &Configuration) -> Result<(), Refused> {
        if !self.is_wanted() {
            return Ok(());
        }
        let place = self.listed();
        if let Some((_, last)) = self.brought.sets.get_mut(place) {
            *last = Some(configuration.clone());
            return Ok(());
        }
        let (Some(tape), Some(raid), Some(set)) = (&self.tape, &self.raid, &self.set) else {
            return Err(Refused::Messages(Message::new(3241, &[&self.name]).into()));
        };
        let head = Head {
            tape: tape.clone(),
            raid: raid.clone(),
            set: set.clone(),
            configuration: configuration.clone(),
        };
        let data = configuration.files().filter(|file| !file.is_log());
        let sizes = data.map(|file| {
            let pages = file.get(Sfin::FILE_SIZE) / PAGE_SIZE as u64;
            let id = u16::try_from(file.get(Sfin::FILE_ID)).unwrap_or(0);
            (id, u32::try_from(pages).unwrap_or(u32::MAX))
        });
        self.files = sizes.collect();
        if self.head.get().is_none() {
            self.to = self.gate.admit(self.device, &head).map_err(Refused::Messages)?;
            let _ = self.head.set(head.clone());
        }
        self.brought.sets.push((head, None));
        Ok(())
    }

    fn stream(&mut self, header: &StreamHeader, _: u64) -> Result<(), Refused> {
        self.extent.clear();
        if header.id == stream_id::MQTL && self.is_taken() && self.log.is_none() {
            // Its block announces none.
            return Err(LogDamage { vlf: self.vlf, block: 0 }.into());
        }
        Ok(())
    }

    fn pages(&mut self, mut pages: &[u8]) -> Result<(), Refused> {
        self.context.check_cancelled().map_err(|message| Refused::Messages(message.into()))?;
        if !self.is_taken() {
            return Ok(());
        }
        while !pages.is_empty() {
            if self.extent.is_empty()
                && let Some((whole, rest)) = pages.split_first_chunk::<EXTENT_SIZE>()
            {
                self.place(whole)?;
                pages = rest;
                continue;
            }
            let (now, rest) = pages.split_at(pages.len().min(EXTENT_SIZE - self.extent.len()));
            self.extent.extend_from_slice(now);
            pages = rest;
            if self.extent.len() == EXTENT_SIZE {
                let extent = std::mem::take(&mut self.extent);
                self.place(&extent)?;
                self.extent = extent;
                self.extent.clear();
            }
        }
        Ok(())
    }

    fn log(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let Some(ComingLog { reader, part, has_place, .. }) = &mut self.log else {
            return Ok(());
        };
        let keeper = self.to.and_then(|to| to.log);
        reader.read(bytes, |block, foreign| {
            let Some(keeper) = keeper else { return Ok(()) };
            if !*has_place {
                (part.at, *has_place) = (keeper.reserve(part.log_size()), true);
            }
            let written = keeper.write(foreign, part.place_of(block));
            written.map_err(|error| Refused::Messages(self.context.storage_failed(&error)))
        })
    }

    fn damage(&mut self, damage: MtfError) -> Result<(), Refused> {
        if !self.is_taken() {
            return Ok(());
        }
        if !self.continue_after_error {
            return Err(Refused::Stream(damage));
        }
        self.brought.is_damaged = true;
        self.brought.foreign.is_damaged |= self.log.is_some();
        Ok(())
    }
}

impl Taker<'_> {
    /// Whether the set being read is one that was asked for.
    fn is_wanted(&self) -> bool {
        self.wanted.is_none_or(|wanted| wanted == self.seen)
    }

    /// Whether the data of the set being read is wanted.
    fn is_taken(&self) -> bool {
        self.is_wanted() && self.wants_data
    }

    /// Place of the set being read among those that were asked for.
    fn listed(&self) -> usize {
        if self.wanted.is_some() { 0 } else { usize::from(self.seen).saturating_sub(1) }
    }

    /// Writes an extent where its pages say that it belongs.
    fn place(&mut self, extent: &[u8]) -> Result<(), Refused> {
        let damaged =
            |page: PageId| Message::new(3183, &[&page.file, &page.page, &self.database()]);
        let place = place_of(extent).map_err(|page| Refused::Messages(damaged(page).into()))?;
        let Some(round) = self.brought.rounds.last_mut() else { return Ok(()) };
        let id = match place {
            Place::At(id) => id,
            Place::Filler => return Ok(()),
            Place::Unwritten => {
                round.unwritten += 1;
                return Ok(());
            }
        };
        let end = id.first_page().page.saturating_add(EXTENT_PAGES as u32);
        if self.files.get(&id.file).is_none_or(|pages| end > *pages) {
            return Err(Refused::Messages(Message::new(3241, &[&self.name]).into()));
        }
        round.extents.push(id);
        if let Some(to) = self.to {
            let written = to.pages.write_extent(id, extent);
            written.map_err(|error| Refused::Messages(self.context.storage_failed(&error)))?;
        }
        self.gate.placed(EXTENT_PAGES as u64);
        Ok(())
    }

    /// Name of the database in the set.
    fn database(&self) -> String {
        let name = |head: &Head| head.configuration.set().text(mtf::Scin::DATABASE_NAME);
        self.head.get().map(name).unwrap_or_default()
    }

    /// Notes down what is wrong with a stream: SQL Server's messages do not say.
    fn log_cause(&self, cause: &dyn std::fmt::Display) {
        let text = format!("{}: {cause}", self.name);
        self.context.instance.log("Backup", Message::user(0, 10, 1, text));
    }

    /// SQL Server's messages about a stream.
    fn messages(&self, refused: Refused) -> SeveralMessages {
        let error = match refused {
            Refused::Messages(messages) => return messages,
            Refused::Log(damage) => {
                self.log_cause(&damage);
                return Message::new(3189, &[]).into();
            }
            Refused::Stream(error) => error,
        };
        let name = &self.name;
        self.log_cause(&error);
        if let MtfError::Compressed = error {
            // SQL Server's message does not say what is wrong with it.
            self.context.tell(Message::user(0, 10, 1, format!("'{name}': {error}.")));
        }
        match (error.sql_message(), &error) {
            (3183, MtfError::PageChecksum { page, .. }) => {
                if self.head.get().is_some_and(|head| !has_checksums(head)) {
                    self.log_cause(
                        &"The set has no backup checksums. SQL Server would restore it without a \
                          look at its pages' own, as this server does WITH NO_CHECKSUM.",
                    );
                }
                Message::new(3183, &[&page.file, &page.page, &self.database()])
            }
            (3203, _) => Message::new(3203, &[name, &"38(Reached the end of the file.)"]),
            (3243, MtfError::FormatVersion { major }) => {
                Message::new(3243, &[name, major, &0, &1, &0])
            }
            (number @ (3189 | 3204 | 3208), _) => Message::new(number, &[]),
            (number, _) => Message::new(number, &[name]),
        }
        .into()
    }
}

impl<'j> FamilySink<'j> {
    pub(super) fn new(
        context: &'j Context<'j>,
        gate: &'j dyn Gate,
        device: usize,
        name: &'j str,
        (extent, wanted): (Extent, Option<u16>),
        transfer: &TransferPlan,
    ) -> Self {
        let checked = extent == Extent::Whole && !transfer.no_checksum;
        let checks = Checks { page_checksums: checked, backup_checksums: checked };
        FamilySink {
            reader: Reader::with_checks(checks),
            taker: Taker {
                context,
                gate,
                device,
                name,
                tape: None,
                raid: None,
                set: None,
                seen: 0,
                wanted,
                wants_data: extent == Extent::Whole,
                head: OnceLock::new(),
                to: None,
                files: HashMap::new(),
                log: None,
                vlf: 0,
                extent: Vec::new(),
                brought: Brought::default(),
                failed: None,
                continue_after_error: transfer.continue_after_error,
            },
            extent,
            is_over: false,
            taken: 0,
            piece: Vec::new(),
        }
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_done(&self) -> bool {
        let head = self.extent == Extent::Head && self.taker.head.get().is_some();
        let is_last = self.taker.wanted.is_some_and(|wanted| wanted <= self.taker.seen);
        self.is_over || head || (is_last && self.reader.is_finished())
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), SeveralMessages> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_done() {
            let taken = match self.reader.feed(rest, &mut self.taker) {
                Err(Refused::Stream(_)) if self.has_listed() => {
                    self.is_over = true;
                    break;
                }
                taken => taken.map_err(|refused| self.taker.messages(refused))?,
            };
            rest = &rest[taken..];
            if !self.is_done() {
                self.reader.continue_media();
            }
        }
        Ok(())
    }

    /// Whether sets were to be listed, and a whole one was found.
    fn has_listed(&self) -> bool {
        let mut sets = self.taker.brought.sets.iter();
        self.extent == Extent::Sets && sets.any(|(_, last)| last.is_some())
    }

    /// No more bytes come.
    pub(super) fn end(&mut self) -> Result<(), SeveralMessages> {
        if self.is_done() {
            return Ok(());
        }
        if let Err(error) = self.reader.finish()
            && !self.has_listed()
        {
            return Err(self.taker.messages(Refused::Stream(error)));
        }
        match (self.taker.wanted, self.taker.head.get()) {
            (Some(wanted), None) => {
                let name = self.taker.name;
                let text = format!("Cannot find file ID {wanted} on device '{name}'.");
                Err(Message::user(4038, 16, 1, text).into())
            }
            _ => Ok(()),
        }
    }

    /// The head, what was brought, and what went wrong.
    pub(super) fn finish(self) -> (Option<Head>, Brought, Option<SeveralMessages>) {
        (self.taker.head.into_inner(), self.taker.brought, self.taker.failed)
    }

    fn refused(&mut self, messages: SeveralMessages) -> SinkError {
        // Whoever shows the text ends the sentence.
        let text = messages.to_string().trim_end_matches('.').to_owned();
        self.taker.failed.get_or_insert(messages);
        SinkError::Other(text)
    }
}

impl Sink for FamilySink<'_> {
    fn ask(&mut self, outstanding: u64) -> Ask {
        match self.extent {
            _ if self.is_done() => Ask::Enough,
            Extent::Whole | Extent::Sets => Ask::Read(u64::MAX),
            // The data behind the head is not wanted: one Read after the other.
            Extent::Head if outstanding > 0 => Ask::Wait,
            // Behind its usual end only what is known to belong to it: nothing of the data.
            Extent::Head => Ask::Read(HEAD.saturating_sub(self.taken).max(self.reader.missing())),
        }
    }

    fn accept(&mut self, buffer: &SharedSlice<'_>) -> Result<(), SinkError> {
        self.taken += buffer.len() as u64;
        let mut piece = std::mem::take(&mut self.piece);
        piece.resize(PIECE, 0);
        for at in (0..buffer.len()).step_by(PIECE) {
            let piece = &mut piece[..PIECE.min(buffer.len() - at)];
            buffer.copy_to(at, piece).map_err(|error| SinkError::Other(error.to_string()))?;
            self.feed(piece).map_err(|messages| self.refused(messages))?;
        }
        self.piece = piece;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.end().map_err(|messages| self.refused(messages))
    }

    fn total(&self) -> Option<u64> {
        None
    }
}

/// A gate for statements that only look: it keeps the heads apart and refuses families that do not
/// belong together.
#[derive(Debug, Default)]
pub(super) struct Heads {
    families: Mutex<Vec<(usize, Family)>>,
}

impl Heads {
    /// Adds a family of `count` devices named `names`.
    pub(super) fn add(
        &self,
        device: usize,
        head: &Head,
        names: &[&str],
    ) -> Result<(), SeveralMessages> {
        let family = head.family();
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let given = names.len();
        if usize::from(family.count) > given {
            return Err(Message::new(3132, &[&family.count, &given]).into());
        }
        if usize::from(family.count) < given {
            let name = names[device];
            return Err(Message::new(3231, &[&name, &family.count, &given]).into());
        }
        for (other, earlier) in families.iter() {
            if earlier.media_set != family.media_set {
                return Err(Message::new(3258, &[&names[device]]).into());
            }
            if earlier.backup_set != family.backup_set {
                return Err(Message::new(3232, &[&names[device], &1, &family.number]).into());
            }
            if earlier.number == family.number {
                let twice = [&names[device], &names[*other]];
                return Err(Message::new(3227, &[twice[0], &family.number, twice[1]]).into());
            }
        }
        families.push((device, family));
        Ok(())
    }
}
