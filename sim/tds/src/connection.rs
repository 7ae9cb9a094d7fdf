//! A connection from its login to its end: one thread reads, one answers.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    ops::ControlFlow,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    Cancel, CancelReason, Limits, Reply, Session, Transaction,
    answer::{Answer, Standing},
    error,
    handshake::{self, LoggedIn, Shared},
    registry::Place,
    transport::{ClientMessage, PacketReader, PacketWriter, ReadError},
    wire::{
        Malformed,
        packet::{PacketType, status},
        request::{self, TransactionRequest},
        rpc,
        token::{self, Change, DoneToken, done},
    },
};

/// Requests and attentions that may wait for their turn. A client has one request out at a time (there is no MARS)
/// and one attention behind it; whoever sends many more without reading is cut off.
const QUEUE: usize = 4;
/// How long a refused client has to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the reading thread tells the answering one.
enum Event {
    Request(ClientMessage, Cancel),
    Attention,
    Malformed(Malformed),
}

/// Closes the connection however its thread ends, which also ends the thread that reads it.
struct Close(Arc<TcpStream>);

impl Drop for Close {
    fn drop(&mut self) {
        // The client may have closed it first.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Serves one connection to its end, on this thread.
pub(crate) fn serve(
    shared: &Shared,
    stream: Arc<TcpStream>,
    address: SocketAddr,
    mut place: Place,
) -> io::Result<()> {
    let _close = Close(Arc::clone(&stream));
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(shared.config.limits.write_time))?;
    let Some(logged_in) = handshake::log_in(shared, &stream, address, &mut place) else {
        return Ok(());
    };
    let LoggedIn { session, standing, reader, writer } = logged_in;
    let (sender, events) = sync_channel(QUEUE);
    let limits = shared.config.limits.clone();
    thread::Builder::new()
        .name(format!("tds-{}-reader", place.spid()))
        .spawn(move || read_requests(reader, &limits, &sender))?;
    let mut conversation = Conversation { session, standing, writer };
    let refused = events.iter().any(|event| conversation.answer(event).is_break());
    drop(conversation);
    if refused && stream.shutdown(Shutdown::Write).is_ok() {
        linger(&events);
    }
    Ok(())
}

/// Waits until the client has closed, for a moment, so that the system does not throw away our last words together
/// with what the client is still sending.
fn linger(events: &Receiver<Event>) {
    let end = Instant::now() + LAST_WORDS;
    loop {
        match events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Reads until the connection ends; the end cancels what runs.
fn read_requests(mut reader: PacketReader, limits: &Limits, events: &SyncSender<Event>) {
    let mut unanswered: Vec<Cancel> = Vec::new();
    let malformed = loop {
        let event = match reader.message(limits) {
            Ok(Some(message)) if message.kind == PacketType::Attention => {
                for cancel in &unanswered {
                    cancel.cancel(CancelReason::Attention);
                }
                Event::Attention
            }
            Ok(Some(message)) => {
                let cancel = Cancel::new();
                unanswered.retain(|cancel| !cancel.is_last());
                unanswered.push(cancel.clone());
                Event::Request(message, cancel)
            }
            Ok(None) | Err(ReadError::Broken(_)) => break None,
            Err(ReadError::Malformed(malformed)) => break Some(malformed),
        };
        if events.try_send(event).is_err() {
            break None;
        }
    };
    for cancel in &unanswered {
        cancel.cancel(CancelReason::Disconnected);
    }
    if let Some(malformed) = malformed
        && events.send(Event::Malformed(malformed)).is_ok()
    {
        reader.drain();
    }
}

/// The answering side.
struct Conversation {
    session: Box<dyn Session>,
    standing: Standing,
    writer: PacketWriter,
}

impl Conversation {
    /// Answers one event; breaks when the connection is to be closed.
    fn answer(&mut self, event: Event) -> ControlFlow<()> {
        let sent = match event {
            Event::Request(message, cancel) => match cancel.reason() {
                None => return self.request(&message, cancel),
                Some(CancelReason::Disconnected) => return ControlFlow::Break(()),
                Some(CancelReason::Attention) => self.bare_done(done::ERROR),
            },
            // A message of its own behind the answer that was cancelled, or came too late to be.
            Event::Attention => self.bare_done(done::ATTENTION),
            Event::Malformed(malformed) => {
                let mut answer = Answer::new(&mut self.writer, &mut self.standing, Cancel::new());
                answer.message(&error::bad_request(&malformed));
                answer.end_batch();
                // It is closed whether or not the client heard it.
                let _ = answer.finish();
                return ControlFlow::Break(());
            }
        };
        if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn bare_done(&mut self, status: u16) -> io::Result<()> {
        let mut out = Vec::new();
        token::done_token(DoneToken::Done, status, token::COMMAND_NONE, 0, &mut out);
        self.writer.put(&out)?;
        self.writer.end()
    }

    fn request(&mut self, message: &ClientMessage, cancel: Cancel) -> ControlFlow<()> {
        let request = match Request::decode(message) {
            Ok(request) => request,
            // The message was whole, so what follows it can be understood.
            Err(malformed @ Malformed::ParameterType { .. }) => Request::Unsupported(malformed),
            Err(malformed) => return self.answer(Event::Malformed(malformed)),
        };
        let mut answer = Answer::new(&mut self.writer, &mut self.standing, cancel);
        let session = &mut *self.session;
        let keep_transaction = message.status & status::RESET_KEEP_TRANSACTION != 0;
        if keep_transaction || message.status & status::RESET_CONNECTION != 0 {
            answer.change(Change::Reset);
            session.reset(keep_transaction, &mut answer);
        }
        execute(session, &request, &mut answer);
        match answer.finish() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// A request that has been understood.
enum Request {
    Batch(String),
    Calls(Vec<rpc::Call>),
    Transaction(TransactionRequest),
    Unsupported(Malformed),
}

impl Request {
    fn decode(message: &ClientMessage) -> Result<Self, Malformed> {
        match message.kind {
            PacketType::SqlBatch => request::decode_batch(&message.body).map(Self::Batch),
            PacketType::Rpc => rpc::decode(&message.body).map(Self::Calls),
            PacketType::TransactionManager => {
                request::decode_transaction(&message.body).map(Self::Transaction)
            }
            kind => {
                let value = kind as u64;
                Err(Malformed::Unknown { what: "the packet's type after the login", value })
            }
        }
    }
}

fn execute<'a>(session: &mut dyn Session, request: &'a Request, answer: &mut Answer<'a>) {
    match request {
        Request::Calls(calls) if !calls.is_empty() => {
            for (index, call) in calls.iter().enumerate() {
                answer.start_procedure(&call.parameters);
                let status = session.procedure(call, answer);
                answer.end_procedure(status, index + 1 < calls.len());
            }
            return;
        }
        Request::Batch(text) => session.batch(text, answer),
        Request::Transaction(request) => transact(session, *request, answer),
        Request::Unsupported(malformed) => answer.message(&error::bad_request(malformed)),
        Request::Calls(_) => {}
    }
    answer.end_batch();
}

fn transact(session: &mut dyn Session, request: TransactionRequest, answer: &mut Answer<'_>) {
    let (step, then_begin) = match request {
        TransactionRequest::Begin => (Transaction::Begin, false),
        TransactionRequest::Commit { then_begin } => (Transaction::Commit, then_begin),
        TransactionRequest::Rollback { then_begin } => (Transaction::Rollback, then_begin),
        TransactionRequest::Save => (Transaction::Save, false),
        TransactionRequest::Distributed => {
            let message = error::no_coordinator(answer.server_name());
            return answer.message(&message);
        }
    };
    session.transaction(step, answer);
    if then_begin {
        session.transaction(Transaction::Begin, answer);
    }
}
