//! Publish and subscribe of iceoryx2: chunks are lent, not copied.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::*;

use crate::link::{self, soon, sum};

/// Chunks that are neither waiting in the subscriber's buffer: one lent to the publisher, one to the subscriber.
const LENT: usize = 2;

/// Begins the names of its shared objects; the folder's name, unique to the run, follows.
fn prefix(folder: &Path) -> Result<String> {
    let name = folder.file_name().context("a folder with a name")?.to_string_lossy();
    Ok(format!("rivals{}_", name.replace(|c: char| !c.is_ascii_alphanumeric(), "")))
}

fn node(folder: &Path) -> Result<Node<ipc::Service>> {
    set_log_level(LogLevel::Error);
    let mut config = Config::default();
    let root = iceoryx2::prelude::Path::new(folder.as_os_str().as_encoded_bytes())?;
    config.global.set_root_path(&root);
    config.global.prefix = FileName::new(prefix(folder)?.as_bytes())?;
    Ok(NodeBuilder::new().config(&config).create()?)
}

/// The publisher, with the event that wakes a subscriber that sleeps.
pub(crate) struct Sender {
    publisher: Publisher<ipc::Service, [u64], ()>,
    notifier: Option<Notifier<ipc::Service>>,
    _node: Node<ipc::Service>,
}

/// The subscriber.
pub(crate) struct Receiver {
    subscriber: Subscriber<ipc::Service, [u64], ()>,
    listener: Option<Listener<ipc::Service>>,
    _node: Node<ipc::Service>,
}

type Stream =
    iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u64], ()>;

/// Both sides ask for the same: no chunk is ever lost, and no more than `buffers` exist at once.
fn stream(node: &Node<ipc::Service>, buffers: usize) -> Result<Stream> {
    ensure!(
        buffers > LENT,
        "{buffers} chunks are too few: one is filled, one read, one on its way"
    );
    Ok(node
        .service_builder(&"stream".try_into()?)
        .publish_subscribe::<[u64]>()
        .enable_safe_overflow(false)
        .history_size(0)
        .max_publishers(1)
        .max_subscribers(1)
        .subscriber_max_buffer_size(buffers - LENT)
        .subscriber_max_borrowed_samples(1)
        .open_or_create()?)
}

pub(crate) fn sender(
    folder: &Path,
    (buffers, size): (usize, usize),
    blocking: bool,
) -> Result<Sender> {
    let node = node(folder)?;
    let publisher = stream(&node, buffers)?
        .publisher_builder()
        .max_loaned_samples(1)
        .initial_max_slice_len(size / 8)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()?;
    let event = node.service_builder(&"event".try_into()?).event().open_or_create()?;
    let notifier = blocking.then(|| event.notifier_builder().create()).transpose()?;
    // Whoever subscribes late misses what was sent before.
    soon(|| {
        publisher.update_connections()?;
        let there = stream(&node, buffers)?.dynamic_config().number_of_subscribers() == 1;
        let listens = !blocking || event.dynamic_config().number_of_listeners() == 1;
        ensure!(there && listens, "nobody subscribes");
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(Sender { publisher, notifier, _node: node })
}

pub(crate) fn receiver(
    folder: &Path,
    (buffers, _): (usize, usize),
    blocking: bool,
) -> Result<Receiver> {
    let node = node(folder)?;
    let event = node.service_builder(&"event".try_into()?).event().open_or_create()?;
    let listener = blocking.then(|| event.listener_builder().create()).transpose()?;
    let subscriber = stream(&node, buffers)?.subscriber_builder().create()?;
    Ok(Receiver { subscriber, listener, _node: node })
}

impl link::Sender for Sender {
    fn send(&mut self, chunk: &[u64]) -> Result<()> {
        let sample = self.publisher.loan_slice_uninit(chunk.len())?;
        sample.write_from_slice(chunk).send()?;
        if let Some(notifier) = &self.notifier {
            notifier.notify()?;
        }
        Ok(())
    }
}

impl link::Receiver for Receiver {
    fn receive(&mut self) -> Result<u64> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                return Ok(sum(sample.payload()));
            }
            match &self.listener {
                Some(listener) => _ = listener.blocking_wait(|_| ())?,
                None => std::hint::spin_loop(),
            }
        }
    }
}

/// 64 bytes there and back.
type Message = [u64; 8];

/// One side of a ping-pong: what it says and what it hears.
pub(crate) struct Echo {
    says: Publisher<ipc::Service, Message, ()>,
    hears: Subscriber<ipc::Service, Message, ()>,
    _node: Node<ipc::Service>,
}

impl Echo {
    /// Each side publishes under its own name once the other subscribes; the consumer's is "pong".
    pub(crate) fn start(folder: &Path) -> Result<Echo> {
        let node = node(folder)?;
        let service = |name: &str| {
            let builder = node.service_builder(&name.try_into()?).publish_subscribe::<Message>();
            anyhow::Ok(builder.enable_safe_overflow(false).open_or_create()?)
        };
        let (ping, pong) = (service("ping")?, service("pong")?);
        let is_consumer = std::env::args().any(|argument| argument == "--folder");
        let (ours, theirs) = if is_consumer { (&pong, &ping) } else { (&ping, &pong) };
        let hears = theirs.subscriber_builder().create()?;
        let says = ours.publisher_builder().create()?;
        soon(|| {
            says.update_connections()?;
            ensure!(ours.dynamic_config().number_of_subscribers() == 1, "nobody listens");
            anyhow::Ok(())
        })?;
        Ok(Echo { says, hears, _node: node })
    }

    /// Says `number` and waits to hear it.
    pub(crate) fn round_trip(&self, number: u64) -> Result<()> {
        self.says.loan_uninit()?.write_payload([number; 8]).send()?;
        ensure!(self.hear()? == [number; 8], "another number came back");
        Ok(())
    }

    /// Waits for a number and says it.
    pub(crate) fn answer(&self) -> Result<()> {
        let message = self.hear()?;
        self.says.loan_uninit()?.write_payload(message).send()?;
        Ok(())
    }

    fn hear(&self) -> Result<Message> {
        loop {
            if let Some(sample) = self.hears.receive()? {
                return Ok(*sample.payload());
            }
            std::hint::spin_loop();
        }
    }
}

/// Removes the shared objects of a run on the way out.
pub(crate) struct Leftovers<'a>(pub(crate) &'a Path);

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        let Ok(prefix) = prefix(self.0) else { return };
        for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                // Whatever stays, stays in memory only.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
