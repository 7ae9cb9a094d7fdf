//! A trace for people.

use std::fmt::Write;

use super::sequence::{Kind, Process, Sequence, Step};

/// More lanes than this are not drawn; the device's number has to do.
const MOST_LANES: usize = 16;

/// The sequence as text: a heading, and a line for each step with its time, what it took, its
/// process, the lanes of the devices and what happened.
///
/// In the lanes `▼` is a command that was sent, `▲` one that came back, `┃` a device with commands
/// under way, `◆` a call of the client, `●` anything else and `✗` a failure.
pub fn show(sequence: &Sequence) -> String {
    let mut text = heading(sequence);
    let mut under_way = vec![0_u32; sequence.devices.len()];
    for step in &sequence.steps {
        if let Some(count) = step.device.and_then(|device| under_way.get_mut(device)) {
            match step.kind {
                Kind::Sent => *count += 1,
                Kind::Completed => *count = count.saturating_sub(1),
                _ => {}
            }
        }
        let took = match (step.took, step.kind) {
            (Some(took), Kind::Call | Kind::Completed) => duration(took),
            _ => String::new(),
        };
        let device = step.device.map_or_else(|| "set".to_owned(), |device| device.to_string());
        let _ = writeln!(
            text,
            "{:>12} {took:>9}  {} {:<7} {} {device:>3}  {}",
            format!("{:.3} ms", step.at as f64 / 1000.0),
            sequence.role(step.pid),
            step.pid,
            lanes(step, &under_way),
            step.text,
        );
    }
    text
}

fn heading(sequence: &Sequence) -> String {
    let mut text = String::new();
    if let Some(set) = &sequence.set {
        let _ = writeln!(text, "set {set}");
    }
    for (k, name) in sequence.devices.iter().enumerate() {
        let _ = writeln!(text, "device {k}: {name}");
    }
    for Process { pid, role, program, ended } in &sequence.processes {
        let program = program.as_ref().map(|program| format!(": {program}")).unwrap_or_default();
        let end = if *ended { "" } else { " (no end recorded: killed, or still running)" };
        let _ = writeln!(text, "{role} {pid}{program}{end}");
    }
    text.push('\n');
    text
}

fn lanes(step: &Step, under_way: &[u32]) -> String {
    if under_way.len() > MOST_LANES {
        return mark(step).to_string();
    }
    let lane = |(k, count): (usize, &u32)| match step.device {
        Some(device) if device == k => mark(step),
        None => mark(step),
        _ if *count > 0 => '┃',
        _ => '·',
    };
    match step.device {
        // What concerns the set goes through all lanes.
        None if under_way.is_empty() => mark(step).to_string(),
        _ => under_way.iter().enumerate().map(lane).collect(),
    }
}

fn mark(step: &Step) -> char {
    match step.kind {
        _ if step.bad => '✗',
        Kind::Sent => '▼',
        Kind::Completed => '▲',
        Kind::Call => '◆',
        Kind::State | Kind::Fault | Kind::Death | Kind::Process => '●',
    }
}

fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}
