//! The `ratios` program as `scripts/bench` runs it, with the least of everything and a rival that does nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

/// What readers of the last line rely on.
const NAMES: [&str; 25] = [
    "stream_cold_vs_ring",
    "stream_hot_vs_ring",
    "stream_64k_vs_ring",
    "stream_cold_vs_memcpy",
    "stream_hot_vs_memcpy",
    "stream_cold_vs_iceoryx2",
    "stream_hot_vs_iceoryx2",
    "stream_64k_vs_iceoryx2",
    "stream_cold_vs_best_socket",
    "stream_hot_vs_best_socket",
    "devices_64_vs_1",
    "devices_64_vs_ring64",
    "cpu_vs_ring",
    "cpu_vs_iceoryx2",
    "rtt_prompt_vs_spin",
    "rtt_prompt_vs_iceoryx2",
    "rtt_parked_vs_futex",
    "get_handle_vs_now",
    "map_handle_vs_now",
    "by_handle_vs_ring_relay",
    "set_life_vs_bare",
    "death_ms_median",
    "death_ms_max",
    "idle_switches_per_s",
    "aa",
];

/// Catches: a measure that was renamed, dropped or left without its interval; one that fails or never ends; a run
/// without a report.
#[test]
fn every_measure_is_in_the_last_line_and_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let rival = folder.path().join("rival");
    fs::write(&rival, "#!/bin/sh\necho $$\nwhile read -r count; do echo 0.001; done\n").unwrap();
    fs::set_permissions(&rival, fs::Permissions::from_mode(0o755)).unwrap();
    let (engine, results) = (folder.path().join("engine.json"), folder.path().join("RESULTS.md"));
    fs::write(&engine, r#"{"backup_vs_stream": 0.7, "backup_vs_stream_ci": [0.6, 0.8]}"#).unwrap();
    let output = Command::new("timeout")
        .arg("300")
        .arg(env!("CARGO_BIN_EXE_ratios"))
        .args(["--smoke", "--full", "--others-at-most", "1000", "--command", "the test"])
        .arg("--rivals")
        .arg(&rival)
        .arg("--server")
        .arg(&engine)
        .arg("--results")
        .arg(&results)
        .output()
        .unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // 3: a debug build may be too slow for a valid run, which is said.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}: {stderr}", output.status);
    assert_eq!(output.status.code() == Some(3), stderr.contains("THIS RUN IS INVALID"), "{stderr}");
    let line = stdout.lines().last().expect("a line");
    let Ok(Value::Object(numbers)) = serde_json::from_str(line) else { panic!("{line}") };
    let report = fs::read_to_string(&results).unwrap();
    for name in NAMES {
        assert!(numbers.get(name).is_some_and(Value::is_f64), "{name}: {line}");
        let interval = numbers.get(&format!("{name}_ci")).and_then(Value::as_array);
        let [low, high] = interval.map_or(&[][..], Vec::as_slice) else { panic!("{name}: {line}") };
        assert!(low.as_f64() <= high.as_f64(), "{name}: {line}");
        assert!(report.contains(&format!("`{name}`")), "{name}: {report}");
    }
    assert!(numbers["pairs_kept"].as_u64() > Some(0) && numbers["pairs_dropped"] == 0, "{line}");
    for point in
        ["1 × 64 KiB, 1 devices, client reads", "8 × 1024 KiB, 64 devices, client completes"]
    {
        assert!(report.contains(point), "{report}");
    }
    assert!(report.contains("the test") && report.contains("backup_vs_stream"), "{report}");
}
