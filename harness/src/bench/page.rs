//! The page: one file that needs no network. The results are data in it; the browser draws them.

use super::results::Results;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = concat!(include_str!("../report/page/page.css"), include_str!("page/page.css"));
const SCRIPT: &str = concat!(
    include_str!("../report/page/elements.js"),
    include_str!("page/parts.js"),
    include_str!("page/plots.js"),
    include_str!("page/page.js"),
);

/// The page's text.
pub fn page(results: &Results) -> String {
    // No `<` stays in the data, so that nothing in it can end the element it stands in.
    let data = serde_json::to_string(results).unwrap_or_default().replace('<', "\\u003c");
    let mut text = String::with_capacity(TEMPLATE.len() + STYLE.len() + SCRIPT.len() + data.len());
    let mut rest = TEMPLATE;
    for (mark, content) in [("{{style}}", STYLE), ("{{data}}", &data), ("{{script}}", SCRIPT)] {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        text.extend([before, content]);
        rest = after;
    }
    text.push_str(rest);
    text
}
