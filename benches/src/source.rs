//! What streams are copied from, and how fast one thread alone copies and reads it.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// The words 0, 1, 2, … in parts of the size of a buffer.
#[derive(Debug)]
pub struct Source {
    words: Vec<u64>,
    words_in_a_part: usize,
    sums: Vec<u64>,
}

impl Source {
    /// A source of `bytes` for buffers of `size` bytes.
    pub fn new(bytes: usize, size: usize) -> Source {
        let (words, words_in_a_part) =
            ((0..bytes as u64 / 8).collect::<Vec<_>>(), (size / 8).max(1));
        let sums = words.chunks_exact(words_in_a_part).map(sum).collect();
        Source { words, words_in_a_part, sums }
    }

    /// The first `total` parts, from the start again after the last.
    pub fn chunks(&self, total: usize) -> impl Iterator<Item = &[u64]> {
        self.words.chunks_exact(self.words_in_a_part).cycle().take(total)
    }

    /// The part that comes after `index` others.
    pub fn chunk(&self, index: usize) -> &[u64] {
        let first = index % self.sums.len() * self.words_in_a_part;
        &self.words[first..first + self.words_in_a_part]
    }

    /// The wrapping sum of all words of `total` parts that come after `first` others.
    pub fn sum(&self, first: usize, total: usize) -> u64 {
        let sums = self.sums.iter().cycle().skip(first % self.sums.len()).take(total);
        sums.fold(0, |all, sum| all.wrapping_add(*sum))
    }

    /// One thread copies `total` parts into the same `target`: the ceiling.
    pub fn copy(&self, target: &mut [u64], total: usize) -> Duration {
        let begun = Instant::now();
        for chunk in self.chunks(total) {
            target.copy_from_slice(black_box(chunk));
            black_box(&mut *target);
        }
        begun.elapsed()
    }

    /// One thread adds up `total` parts.
    pub fn read(&self, total: usize) -> Duration {
        let begun = Instant::now();
        self.chunks(total).for_each(|chunk| _ = black_box(sum(black_box(chunk))));
        begun.elapsed()
    }
}

/// The wrapping sum of the words: the cheapest way to read every byte.
pub fn sum(words: &[u64]) -> u64 {
    words.iter().fold(0, |all, &word| all.wrapping_add(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a sum that starts elsewhere, or of fewer parts, than `chunks` and `chunk` hand out.
    #[test]
    fn the_expected_sum_is_that_of_the_parts() {
        let source = Source::new(5 * 64, 64);
        let parts: Vec<&[u64]> = source.chunks(12).collect();
        assert_eq!(source.sum(0, 12), parts.iter().copied().map(sum).sum::<u64>());
        assert_eq!(source.sum(7, 4), parts[7..11].iter().copied().map(sum).sum::<u64>());
        assert!((0..12).all(|index| source.chunk(index) == parts[index]));
    }
}
