//! The parser reads or refuses any text, with mistakes on lines that the text has.
#![no_main]

use fake_sqlserver::sql::{ParseOptions, parse, parse_declarations, split_script};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = text.matches('\n').count() as u32 + 1;
    for quoted_identifier in [true, false] {
        let options = ParseOptions { quoted_identifier, variables: vec!["@d".to_owned()] };
        if let Err(mistakes) = parse(text, &options) {
            assert!(!mistakes.0.is_empty());
            assert!(mistakes.0.iter().all(|mistake| (1..=lines).contains(&mistake.line)));
        }
    }
    let _ = parse_declarations(text);
    let _ = split_script(text);
});
