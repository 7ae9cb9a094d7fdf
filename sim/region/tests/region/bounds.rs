//! Whatever is asked for: inside and aligned, or an error.

use std::sync::atomic::Ordering;

use proptest::prelude::*;
use vdi_region::{Backend, Region, RegionError};

use crate::support::{LEN, Names};

/// Offsets and lengths around everything that matters.
fn number() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..LEN * 2,
        (LEN - 70..LEN + 70),
        Just(usize::MAX),
        (usize::MAX - 70..usize::MAX),
        any::<usize>(),
    ]
}

fn with_region(check: impl Fn(&Region)) {
    for backend in Backend::AVAILABLE {
        let names = Names::new(*backend);
        check(&names.create("a"));
    }
}

fn inside(offset: usize, len: usize, whole: usize) -> bool {
    offset.checked_add(len).is_some_and(|end| end <= whole)
}

#[test]
fn views_are_inside_and_aligned() {
    with_region(|region| {
        proptest!(ProptestConfig::with_cases(2000), |(offset in number(), count in number())| {
            let word = region.word(offset);
            prop_assert_eq!(word.is_ok(), inside(offset, 4, region.len()) && offset % 4 == 0);
            if let Ok(word) = word {
                word.store(1, Ordering::Relaxed);
            }
            let views = region.view_slice::<[std::sync::atomic::AtomicU32; 3]>(offset, count);
            let len = count.checked_mul(12);
            let fits = len.is_some_and(|len| inside(offset, len, region.len()));
            prop_assert_eq!(views.is_ok(), fits && offset % 4 == 0);
            if let Ok(views) = views {
                prop_assert_eq!(views.len(), count);
                for words in views {
                    words[2].store(2, Ordering::Relaxed);
                }
            }
        });
    });
}

#[test]
fn slices_are_inside() {
    with_region(|region| {
        let cases = (number(), number(), number(), number());
        proptest!(ProptestConfig::with_cases(2000), |((offset, len, at, part) in cases)| {
            let slice = match region.slice(offset, len) {
                Ok(slice) => slice,
                Err(error) => {
                    prop_assert!(!inside(offset, len, region.len()));
                    let region_len = region.len();
                    prop_assert_eq!(error, RegionError::OutOfBounds { offset, len, region_len });
                    return Ok(());
                }
            };
            prop_assert!(inside(offset, len, region.len()));
            prop_assert_eq!(slice.len(), len);
            prop_assert_eq!(slice.as_mut_ptr() as usize, region.base() as usize + offset);
            prop_assert_eq!(slice.subslice(at, part).is_ok(), inside(at, part, len));
            let mut bytes = vec![0; part.min(2 * LEN)];
            let fits = inside(at, bytes.len(), len);
            prop_assert_eq!(slice.copy_to(at, &mut bytes).is_ok(), fits);
            prop_assert_eq!(slice.copy_from(at, &bytes).is_ok(), fits);
        });
    });
}

/// Catches: a copy that is off by its offset, or that writes beside its place.
#[test]
fn copies_behave_like_a_vector() {
    with_region(|region| {
        let steps =
            prop::collection::vec((0..LEN, prop::collection::vec(any::<u8>(), 0..300)), 1..20);
        let slice = region.slice(0, LEN).unwrap();
        proptest!(ProptestConfig::with_cases(100), |(steps in steps)| {
            let mut model = vec![0; LEN];
            slice.fill(0);
            for (at, bytes) in &steps {
                let fits = slice.copy_from(*at, bytes).is_ok();
                prop_assert_eq!(fits, at + bytes.len() <= LEN);
                if fits {
                    model[*at..at + bytes.len()].copy_from_slice(bytes);
                }
            }
            let mut seen = vec![0; LEN];
            slice.copy_to(0, &mut seen).unwrap();
            prop_assert_eq!(&seen, &model);
        });
    });
}
