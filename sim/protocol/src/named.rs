//! One list a code type: constant, value and the name that the headers give it.

/// Gives a `#[repr(transparent)]` number type its constants, the list of all of them, and the
/// way back from a value to its name. The type itself, with its documentation, is declared where
/// the macro is used.
macro_rules! named_codes {
    ($type:ident { $( $(#[$doc:meta])* $constant:ident = $value:expr, $name:literal; )+ }) => {
        impl $type {
            $( $(#[$doc])* pub const $constant: Self = Self($value); )+

            /// Every code that has a name, in ascending order of the header's list.
            pub const ALL: &'static [Self] = &[$( Self::$constant ),+];

            /// The name that the headers give this code, or `None` for a value without one.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$constant => Some($name), )+
                    _ => None,
                }
            }

            /// The code with this name, spelt as in the headers.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.name() == Some(name))
            }
        }
    };
}

pub(crate) use named_codes;
