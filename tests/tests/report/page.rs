//! index.html in a browser.

use std::time::Instant;

use serde_json::json;
use vdisim::conformance::results::{Level, RunResults, Verdict};
use vdisim::report::Report;

use super::browser::Browser;
use super::sample::{HOSTILE, all_verdicts, case, many, run};

/// The page of these runs in a browser, if there is one.
fn shown(runs: Vec<RunResults>) -> Option<(tempfile::TempDir, Browser)> {
    let folder = tempfile::tempdir().unwrap();
    Report::new(runs).write(folder.path()).unwrap();
    let browser = Browser::open(&folder.path().join("index.html"))?;
    Some((folder, browser))
}

/// The ids of the cases in the document, in their order.
const IDS: &str = "[...document.querySelectorAll('.case')].map((row) => row.dataset.id).join(' ')";
const COUNT: &str = "document.getElementById('count').textContent";
const FOCUS: &str = "document.activeElement.id";
const OPEN: &str = "document.getElementById('detail-title')?.textContent ?? ''";
const ACTIVE: &str = "document.querySelector('.active')?.dataset.id ?? document.querySelector('.active')?.textContent ?? ''";

// Catches: a search that ignores evidence, that takes the words for alternatives, that keeps rows which
// do not match, or that can't be reached or left by keyboard.
#[test]
fn search_finds_by_every_word_and_by_keyboard() {
    let mut cases = all_verdicts();
    cases[3].reason = Some("Zanzibar has no strace".to_owned());
    let Some((_folder, mut page)) = shown(vec![run("c", cases.clone())]) else { return };
    assert_eq!(page.text(COUNT), "36 cases");
    page.press("/");
    assert_eq!(page.text(FOCUS), "search");
    page.type_in("STRACE zanz");
    assert_eq!(page.text(COUNT), "1 of 36 cases");
    assert_eq!(page.text(IDS), cases[3].id);
    page.press("Enter");
    assert_eq!((page.text(FOCUS), page.text(ACTIVE)), ("cases".to_owned(), cases[3].id.clone()));
    page.press("/");
    page.type_in("no such words");
    assert!(page.text(IDS).is_empty());
    assert_eq!(page.value("document.getElementById('none').hidden"), false);
    page.press("Escape");
    assert_eq!(page.text(COUNT), "36 cases");
    assert_eq!(page.complaints, Vec::<String>::new());
}

// Catches: filters that are alternatives where they should add up, that do not say their state, that a
// link does not carry.
#[test]
fn filters_add_up_and_a_link_carries_them() {
    let Some((_folder, mut page)) = shown(vec![run("c", all_verdicts())]) else { return };
    page.click("[data-name=FAIL]");
    assert_eq!(page.text(COUNT), "4 of 36 cases");
    page.value("document.querySelector('[data-name=HANG]').focus()");
    page.press(" ");
    assert_eq!(page.text(COUNT), "8 of 36 cases");
    page.click("[data-name=must]");
    assert_eq!(page.text(IDS), "client/must-rules/fail client/must-rules/hang");
    let pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map((e) => e.dataset.name).join(' ')";
    assert_eq!(page.text(pressed), "FAIL HANG must");
    page.call("Page.reload", json!({}));
    page.wait_for("document.getElementById('count')?.textContent === '2 of 36 cases'");
    assert_eq!(page.text(pressed), "FAIL HANG must");
    page.click("#clear");
    assert_eq!(page.text(COUNT), "36 cases");
    page.value("(() => { const area = document.getElementById('area'); area.value = 'client/info-rules'; area.dispatchEvent(new Event('change')); })()");
    assert_eq!(page.text(COUNT), "9 of 36 cases");
}

// Catches: a link to a case that opens it beside other rows than its own.
#[test]
fn a_link_to_a_case_shows_its_row() {
    let Some((_folder, mut page)) = shown(vec![run("c", many(300))]) else { return };
    page.value("location.hash = 'case=client/area-2/rule-250'");
    page.wait_for(
        "document.getElementById('detail-title')?.textContent === 'client/area-2/rule-250'",
    );
    page.wait_for("document.querySelector('.active')?.dataset.id === 'client/area-2/rule-250'");
    let inside = "(() => { const r = document.querySelector('.active').getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight; })()";
    page.wait_for(inside);
}

// Catches: a client that is said to break a must where its run judged the case as disputed.
#[test]
fn a_level_of_one_run_is_not_another_ones() {
    let broken = |level| vec![case("a/b/c", level, Verdict::Fail)];
    let runs = vec![run("old", broken(Level::Must)), run("new", broken(Level::Disputed))];
    let Some((_folder, mut page)) = shown(runs) else { return };
    let says = "[...document.querySelectorAll('.says')].map((e) => e.textContent).join('|')";
    assert_eq!(
        page.text(says),
        "Breaks 1 rule that a client must keep|Keeps every must and should; differs in 1 disputed rule"
    );
}

// Catches: a matrix that needs a mouse: no way to a case, into it, between failures or back.
#[test]
fn the_matrix_works_by_keyboard() {
    let Some((_folder, mut page)) = shown(vec![run("c", all_verdicts())]) else { return };
    page.value("document.getElementById('cases').focus()");
    page.press("ArrowDown");
    page.press("ArrowDown");
    assert_eq!(page.text(ACTIVE), "client/must-rules/pass");
    page.press("n");
    assert_eq!(page.text(ACTIVE), "client/must-rules/fail");
    page.press("Enter");
    assert_eq!(page.text(OPEN), "client/must-rules/fail");
    let told = page.text("document.getElementById('detail').textContent");
    for part in [
        "The rule of",
        "VDI specification",
        "every Flush is completed",
        "device 1 never",
        "Use a thread",
        "vdisim test client/must-rules/fail --seed 42",
        "exit code 0",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // The picture: a lane for the set and each device, a bar for each command and call, the open one hatched.
    assert_eq!(page.number("document.querySelectorAll('.picture .lane-name').length"), 3);
    assert_eq!(page.number("document.querySelectorAll('.picture rect.data').length"), 16);
    assert_eq!(page.number("document.querySelectorAll('.picture rect.open').length"), 1);
    page.press("n");
    assert_eq!(page.text(OPEN), "client/must-rules/error");
    page.press("p");
    page.press("Escape");
    assert_eq!((page.text(OPEN), page.text(FOCUS)), (String::new(), "cases".to_owned()));
    assert_eq!(page.text(ACTIVE), "client/must-rules/fail");
    page.press("Home");
    page.press("ArrowLeft");
    assert_eq!(page.number("document.querySelectorAll('.case').length"), 27);
    page.press("ArrowRight");
    page.press("End");
    assert_eq!(page.text(ACTIVE), "client/disputed-rules/hang");
    let inside = "(() => { const r = document.querySelector('.active').getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight; })()";
    assert_eq!(page.value(inside), true);
    assert_eq!(page.complaints, Vec::<String>::new());
}

// Catches: columns that are mixed up, a case of one run that is missing in another, differences that
// are none.
#[test]
fn clients_stand_side_by_side() {
    let old =
        vec![case("a/x", Level::Must, Verdict::Fail), case("a/y", Level::Must, Verdict::Pass)];
    let mut new =
        vec![case("a/x", Level::Must, Verdict::Pass), case("a/y", Level::Must, Verdict::Pass)];
    new.push(case("b/new", Level::Should, Verdict::Hang));
    let Some((_folder, mut page)) = shown(vec![run("agent 4", old), run("agent 5", new)]) else {
        return;
    };
    let rows = "[...document.querySelectorAll('.case')].map((r) => [...r.querySelectorAll('.v')].map((v) => v.textContent).join('|')).join(' ')";
    assert_eq!(page.text(rows), "FAIL|PASS PASS|PASS |HANG");
    page.click("#differences");
    assert_eq!(page.text(IDS), "a/x b/new");
    page.value("document.getElementById('cases').focus()");
    page.press("Home");
    page.press("ArrowDown");
    page.press("Enter");
    let verdict = "document.querySelector('.verdict-line .v').textContent";
    assert_eq!(page.text(verdict), "FAIL");
    page.press("ArrowRight");
    assert_eq!(page.text(verdict), "PASS");
    let says = "[...document.querySelectorAll('.says')].map((e) => e.textContent).join('|')";
    assert_eq!(
        page.text(says),
        "Breaks 1 rule that a client must keep|Keeps every must; breaks 1 rule that it should keep"
    );
}

// Catches: a switch without effect, words that can't be read on their ground in either colours, controls
// without a name for those who do not see them.
#[test]
fn light_and_dark_can_both_be_read() {
    let Some((_folder, mut page)) = shown(vec![run("c", all_verdicts())]) else { return };
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = page.text(ground);
    let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    page.call("Emulation.setEmulatedMedia", scheme);
    let dark = page.text(ground);
    assert_ne!(light, dark);
    page.click("[name=theme][value=light]");
    assert_eq!(page.text(ground), light);
    page.value("document.querySelector('[name=theme][value=light]').focus()");
    page.press("ArrowRight");
    assert_eq!(page.text(ground), dark);
    page.press("ArrowLeft");
    let contrast = include_str!("contrast.js");
    for theme in ["light", "dark"] {
        page.click(&format!("[name=theme][value={theme}]"));
        page.click("[data-id='client/must-rules/fail']");
        assert_eq!(page.value(contrast), json!([]), "{theme}");
    }
    let tree = page.call("Accessibility.getFullAXTree", json!({}));
    let roles =
        ["button", "checkbox", "radio", "searchbox", "combobox", "row", "treegrid", "tab", "img"];
    let mut seen = 0;
    for node in tree["nodes"].as_array().unwrap() {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        if node["ignored"] == true || !roles.contains(&role) {
            continue;
        }
        seen += 1;
        assert!(node["name"]["value"].as_str().is_some_and(|name| !name.is_empty()), "{node}");
    }
    assert!(seen > 40, "{seen} controls");
}

// Catches: text of a client's run that becomes part of the page.
#[test]
fn what_a_client_said_stays_text() {
    let mut bad = case("client/x/y", Level::Must, Verdict::Fail);
    bad.seen = Some(HOSTILE.to_owned());
    bad.evidence.push(HOSTILE.to_owned());
    bad.rule = HOSTILE.to_owned();
    bad.timelines[1].name = HOSTILE.to_owned();
    bad.timelines[1].events[0].text = HOSTILE.to_owned();
    let Some((_folder, mut page)) = shown(vec![run(HOSTILE, vec![bad])]) else { return };
    page.click(".case");
    page.click(".events summary");
    page.wait_for("document.querySelectorAll('.events tbody tr').length > 0");
    assert_eq!(page.value("window.pwned === undefined && document.images.length === 0"), true);
    let seen = page.text("document.querySelector('.seen').textContent");
    assert_eq!(seen, HOSTILE);
    assert_eq!(page.complaints, Vec::<String>::new());
}

// Catches: a page that puts every row into the document at once, or loses those out of sight.
#[test]
fn ten_thousand_results_are_drawn_as_they_come_into_sight() {
    let report = Report::new(vec![run("c", many(10_000))]);
    let (start, folder) = (Instant::now(), tempfile::tempdir().unwrap());
    report.write(folder.path()).unwrap();
    println!("10,000 results were written in {} ms", start.elapsed().as_millis());
    let Some((_folder, mut page)) = shown(report.runs) else { return };
    assert_eq!(page.text(COUNT), "10000 cases");
    let rows = "document.querySelectorAll('.case').length";
    assert!((20..300).contains(&page.number(rows)));
    page.value("document.getElementById('cases').focus()");
    page.press("End");
    page.wait_for("document.querySelector('[data-id=\"client/area-99/rule-9999\"]')");
    assert!((20..300).contains(&page.number(rows)));
    page.press("/");
    page.type_in("rule-4711");
    assert_eq!(page.text(IDS), "client/area-47/rule-4711");
}

// Catches: a page that a narrow window cuts off, or that hides the matrix behind a case for good.
#[test]
fn a_narrow_window_holds_it_all() {
    let runs = ["a", "b", "c", "d"].map(|client| run(client, all_verdicts())).to_vec();
    let Some((_folder, mut page)) = shown(runs) else { return };
    page.call(
        "Emulation.setDeviceMetricsOverride",
        json!({"width": 380, "height": 740, "deviceScaleFactor": 1, "mobile": true}),
    );
    let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(page.number(overflow), 0);
    page.value("document.getElementById('cases').scrollIntoView()");
    page.wait_for("document.querySelector('.what')");
    let room = "Math.min(...[...document.querySelectorAll('.what')].map((e) => e.clientWidth))";
    assert!(page.number(room) > 120);
    let last = "Math.max(...[...document.querySelectorAll('.case .v')].map((e) => e.getBoundingClientRect().right)) <= innerWidth";
    assert_eq!(page.value(last), true);
    page.click("[data-id='client/must-rules/fail'] .what");
    assert_eq!(page.text(OPEN), "client/must-rules/fail");
    assert_eq!(page.number(overflow), 0);
    page.click(".close");
    assert_eq!((page.text(OPEN), page.text(FOCUS)), (String::new(), "cases".to_owned()));
}
