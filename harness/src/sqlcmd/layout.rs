//! Result sets as text.

use jiff::ToSpan;
use jiff::civil::date;
use tds_server::{Column, ColumnType, DateTime, Value};
use uuid::Uuid;

use super::options::Flavour;

/// How often the names of the columns are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headings {
    /// Once a result set.
    Once,
    /// Never: `-h-1`.
    Never,
    /// Before each so many rows.
    Every(u64),
}

impl Headings {
    /// The value of -h.
    pub(super) fn from_option(text: &str) -> Option<Headings> {
        match text.trim().parse::<i64>().ok()? {
            -1 => Some(Headings::Never),
            0 => Some(Headings::Once),
            rows => u64::try_from(rows).ok().map(Headings::Every),
        }
    }
}

/// What is printed of tabs, ends of lines and other control characters in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controls {
    /// They are, as they stand there.
    Kept,
    /// -k: nothing.
    Removed,
    /// -k1: a space for each.
    Replaced,
    /// -k2: a space for those in a row.
    Squeezed,
}

impl Controls {
    fn cleaned(self, text: &str) -> String {
        match self {
            Controls::Kept => text.to_owned(),
            Controls::Removed => text.replace(char::is_control, ""),
            Controls::Replaced => text.replace(char::is_control, " "),
            Controls::Squeezed => {
                let mut is_behind_one = false;
                let squeezed: String = text
                    .chars()
                    .filter(|c| {
                        let is_more = is_behind_one && c.is_control();
                        is_behind_one = c.is_control();
                        !is_more
                    })
                    .collect();
                squeezed.replace(char::is_control, " ")
            }
        }
    }
}

/// How result sets are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What stands between two columns.
    pub separator: String,
    /// When names of columns are printed.
    pub headings: Headings,
    /// Columns are no wider than what they hold.
    pub trim: bool,
    /// What is printed of control characters.
    pub controls: Controls,
    /// Characters of a line; longer ones go on in the next. 0 is the default, which is 80.
    pub width: usize,
    /// Characters that are shown of a value of a type without a limit of its own; 0 is no limit.
    pub most_variable: usize,
    /// Characters that are shown of any other text; 0 is no limit.
    pub most_fixed: usize,
    /// A separator stands before the first column and behind the last, too.
    pub margin: bool,
}

/// The width of a line when nobody says otherwise.
const DEFAULT_WIDTH: usize = 80;
/// What is shown of a value without a limit when nobody says otherwise.
const DEFAULT_VARIABLE: usize = 256;
/// What a value without any limit is padded to.
const UNLIMITED_WIDTH: usize = 256;

impl Layout {
    /// What a client does without options.
    pub fn new(flavour: Flavour) -> Layout {
        Layout {
            separator: " ".to_owned(),
            headings: Headings::Once,
            trim: false,
            controls: Controls::Kept,
            width: 0,
            most_variable: DEFAULT_VARIABLE,
            most_fixed: 0,
            margin: flavour == Flavour::Osql,
        }
    }

    /// Joins cells into a line, or several.
    fn line(&self, cells: impl Iterator<Item = String>) -> String {
        let cells: Vec<_> = cells.collect();
        let mut line = cells.join(&self.separator);
        if self.margin {
            line = format!("{0}{line}{0}", self.separator);
        }
        let width = if self.width == 0 { DEFAULT_WIDTH } else { self.width };
        let mut lines = String::with_capacity(line.len() + 1);
        let mut column = 0;
        for character in line.chars() {
            if character == '\n' {
                column = 0;
            } else if column == width {
                lines.push('\n');
                column = 1;
            } else {
                column += 1;
            }
            lines.push(character);
        }
        lines.push('\n');
        lines
    }
}

/// A column as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    name: String,
    width: usize,
    /// Most characters of a value.
    most: usize,
    is_number: bool,
}

/// A result set being printed.
#[derive(Clone, Debug)]
pub struct Table {
    layout: Layout,
    columns: Vec<Shown>,
    rows: u64,
}

impl Table {
    /// A result set with these columns.
    pub fn new(layout: &Layout, columns: &[Column]) -> Table {
        let columns = columns.iter().map(|column| shown(layout, column)).collect();
        Table { layout: layout.clone(), columns, rows: 0 }
    }

    /// What stands above the first row.
    pub fn heading(&self) -> String {
        if self.layout.headings == Headings::Never {
            return String::new();
        }
        let names = self.columns.iter().map(|column| self.cell(column, &column.name, false));
        let dashes = self.columns.iter().map(|column| match self.layout.trim {
            true => "-".repeat(column.name.chars().count()),
            false => "-".repeat(column.width),
        });
        self.layout.line(names) + &self.layout.line(dashes)
    }

    /// The next row, with a heading before it if it is time for one.
    pub fn row(&mut self, values: &[Value]) -> String {
        let again = match self.layout.headings {
            Headings::Every(count) => self.rows > 0 && self.rows.is_multiple_of(count),
            Headings::Once | Headings::Never => false,
        };
        self.rows += 1;
        let cells = self
            .columns
            .iter()
            .zip(values)
            .map(|(column, value)| self.cell(column, &text(value), column.is_number));
        let line = self.layout.line(cells);
        if again { format!("\n{}{line}", self.heading()) } else { line }
    }

    fn cell(&self, column: &Shown, text: &str, right: bool) -> String {
        let most = if column.most == 0 { usize::MAX } else { column.most };
        let text: String = self.layout.controls.cleaned(text).chars().take(most).collect();
        match (self.layout.trim, right) {
            (true, _) => text.trim_end().to_owned(),
            (false, true) => format!("{text:>width$}", width = column.width),
            (false, false) => format!("{text:<width$}", width = column.width),
        }
    }
}

/// How a column is printed: as wide as the widest value of its type, or as its name.
fn shown(layout: &Layout, column: &Column) -> Shown {
    let limited = |width: usize, most: usize| if most == 0 { width } else { width.min(most) };
    let (width, most, is_number) = match column.kind {
        ColumnType::Bit => (1, 0, true),
        ColumnType::TinyInt => (3, 0, true),
        ColumnType::SmallInt => (6, 0, true),
        ColumnType::Int => (11, 0, true),
        ColumnType::BigInt => (20, 0, true),
        ColumnType::Float => (24, 0, true),
        // A sign and a point.
        ColumnType::Decimal { precision, .. } => (usize::from(precision) + 2, 0, true),
        ColumnType::DateTime => (23, 0, false),
        ColumnType::UniqueIdentifier => (36, 0, false),
        ColumnType::NChar(length) | ColumnType::NVarChar(length) | ColumnType::VarChar(length) => {
            (limited(length.into(), layout.most_fixed), layout.most_fixed, false)
        }
        ColumnType::VarBinary(length) => {
            (limited(usize::from(length) * 2 + 2, layout.most_fixed), layout.most_fixed, false)
        }
        ColumnType::NVarCharMax | ColumnType::VarBinaryMax => {
            (limited(UNLIMITED_WIDTH, layout.most_variable), layout.most_variable, false)
        }
    };
    let width = width.max(column.name.chars().count()).max(1);
    Shown { name: column.name.clone(), width, most, is_number }
}

/// A value as text.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bit(bit) => u8::from(*bit).to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Decimal { unscaled, scale } => decimal(*unscaled, (*scale).into()),
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("0x{digits}")
        }
        Value::DateTime(time) => date_time(*time),
        Value::Guid(bytes) => format!("{:X}", Uuid::from_bytes_le(*bytes).hyphenated()),
    }
}

/// Without a zero before the point, as ODBC shows it.
fn decimal(unscaled: i128, scale: usize) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = unscaled.unsigned_abs().to_string();
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>scale$}");
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

fn date_time(DateTime { days, ticks }: DateTime) -> String {
    let milliseconds = (i64::from(ticks) * 10 + 1) / 3;
    date(1900, 1, 1)
        .at(0, 0, 0, 0)
        .checked_add(i64::from(days).days().milliseconds(milliseconds))
        .map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("name", ColumnType::NVarChar(8)),
            Column::new("size", ColumnType::Int),
            Column::new("", ColumnType::Bit),
        ]
    }

    fn printed(layout: &Layout) -> String {
        let mut table = Table::new(layout, &columns());
        let row = |name: &str, size| [Value::from(name), size, Value::Bit(true)];
        let heading = table.heading();
        let first = table.row(&row("pubs", Value::Int(-3)));
        heading + &first + &table.row(&row("Northwind", Value::Null))
    }

    fn layout() -> Layout {
        Layout::new(Flavour::Sqlcmd)
    }

    // Catches: a column as wide as its name only, numbers to the left, a lost or doubled separator.
    #[test]
    fn columns_are_as_wide_as_their_types() {
        assert_eq!(
            printed(&layout()),
            "name     size         \n\
             -------- ----------- -\n\
             pubs              -3 1\n\
             Northwind        NULL 1\n"
        );
    }

    // Catches: padding or dashes with -W, headings with -h-1, another separator ignored.
    #[test]
    fn trimmed_for_programs() {
        let trimmed = Layout { trim: true, separator: "|".to_owned(), ..layout() };
        assert_eq!(printed(&trimmed), "name|size|\n----|----|\npubs|-3|1\nNorthwind|NULL|1\n");
        let bare = Layout { headings: Headings::Never, ..trimmed };
        assert_eq!(printed(&bare), "pubs|-3|1\nNorthwind|NULL|1\n");
    }

    // Catches: a width that is not heeded, one that counts bytes, a break behind a full line.
    #[test]
    fn long_lines_go_on_in_the_next() {
        let narrow = Layout { width: 10, headings: Headings::Never, ..layout() };
        let mut table = Table::new(&narrow, &[Column::new("c", ColumnType::NVarChar(12))]);
        assert_eq!(table.row(&["äöüäöüäöüß12".into()]), "äöüäöüäöüß\n12\n");
        let mut table = Table::new(&narrow, &[Column::new("c", ColumnType::NVarChar(10))]);
        assert_eq!(table.row(&["0123456789".into()]), "0123456789\n");
        assert_eq!(table.row(&["ab\n01234567".into()]), "ab\n01234567\n");
    }

    // Catches: headings before the first row twice, or never again.
    #[test]
    fn headings_come_again() {
        let layout = Layout { headings: Headings::Every(2), trim: true, ..layout() };
        let mut table = Table::new(&layout, &[Column::new("n", ColumnType::Int)]);
        let rows: String = (0..3).map(|n| table.row(&[Value::Int(n)])).collect();
        assert_eq!(table.heading() + &rows, "n\n-\n0\n1\n\nn\n-\n2\n");
    }

    // Catches: osql without its margin.
    #[test]
    fn osql_has_a_margin() {
        let mut table =
            Table::new(&Layout::new(Flavour::Osql), &[Column::new("", ColumnType::Int)]);
        assert_eq!(
            table.heading() + &table.row(&[Value::Int(1)]),
            "             \n ----------- \n           1 \n"
        );
    }

    // Catches: a value in another notation than ODBC's.
    #[test]
    fn values_as_odbc_shows_them() {
        let shown = |value: Value| text(&value);
        assert_eq!(shown(Value::Null), "NULL");
        assert_eq!(shown(Value::Decimal { unscaled: -5, scale: 2 }), "-.05");
        assert_eq!(shown(Value::Decimal { unscaled: 36_000_000_037, scale: 0 }), "36000000037");
        assert_eq!(shown(Value::Float(1.0)), "1.0");
        assert_eq!(shown(Value::Bytes(vec![1, 0xAB])), "0x01AB");
        let time = DateTime { days: 42_488, ticks: 25_919_999 };
        assert_eq!(shown(Value::DateTime(time)), "2016-04-30 23:59:59.997");
        let guid = Uuid::from_u128(0x6F96_19FF_8B86_D011_B42D_00C0_4FC9_64FF);
        assert_eq!(shown(Value::Guid(guid.to_bytes_le())), "6F9619FF-8B86-D011-B42D-00C04FC964FF");
    }

    // Catches: a control character that -k leaves, a space for each where one is to stand for all.
    #[test]
    fn control_characters_are_cleaned() {
        let printed = |controls| {
            let layout = Layout { controls, trim: true, ..layout() };
            let mut table = Table::new(&layout, &[Column::new("c", ColumnType::NVarChar(9))]);
            table.row(&["\ta\r\nb c".into()])
        };
        assert_eq!(printed(Controls::Kept), "\ta\r\nb c\n");
        assert_eq!(printed(Controls::Removed), "ab c\n");
        assert_eq!(printed(Controls::Replaced), " a  b c\n");
        assert_eq!(printed(Controls::Squeezed), " a b c\n");
    }

    // Catches: a limit of -y or -Y that is not one.
    #[test]
    fn long_values_are_cut() {
        let layout = Layout { most_variable: 3, most_fixed: 4, trim: false, ..layout() };
        let columns = [
            Column::new("a", ColumnType::NVarCharMax),
            Column::new("b", ColumnType::NVarChar(100)),
        ];
        let mut table = Table::new(&layout, &columns);
        assert_eq!(table.row(&["abcdef".into(), "abcdef".into()]), "abc abcd\n");
    }
}
