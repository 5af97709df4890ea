//! Consistent hashing: the same key leads to the same server, whatever becomes of the others.
//!
//! Rendezvous hashing (D. G. Thaler and C. V. Ravishankar, "Using name-based mappings to increase hit
//! rates", 1998), with weights by the logarithmic method (C. Schindelhauer and G. Schomaker, "Weighted
//! distributed hash tables", 2005). Each server gets a score from the key and its address, and the
//! highest wins.
//!
//! A further server takes only keys for which its score is the highest, its share of each of the others.
//! Of a server that is not asked, each key goes to the one with the next score, so they spread over all.
//! Nothing is built when a server comes or goes, and a weight may change at any time, as in a slow
//! start. A ring of points (ketama) needs a table for that, of a hundred points a server, and
//! Maglev's table moves some keys that need not move. The price is a score for each server; a
//! hundred servers cost about as much as one system call.
//!
//! Keys, addresses and their scores are the same in every process and build: several of these servers
//! beside one another agree.

/// The hash of `octets`: FNV-1a, then the last steps of MurmurHash3, so that every bit depends on
/// all octets.
pub(super) fn of(octets: &[u8]) -> u64 {
    let hash = octets
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    mix(hash)
}

/// The last steps of MurmurHash3, by Austin Appleby.
pub(super) fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// The score of a server for a key: the server with the highest gets it. `place` is the hash of the
/// server's address.
pub(super) fn score(key: u64, place: u64, weight: u64) -> f64 {
    let mixed = mix(key ^ place);
    // Between 0 and 1, and neither of them.
    let part = ((mixed >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    weight as f64 / -part.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 20_000;

    /// The place in `servers` (hashes of addresses and weights) that each key leads to.
    fn owners(servers: &[(u64, u64)]) -> Vec<usize> {
        let best = |key: u64| {
            let score = |nth: &usize| {
                let (place, weight) = servers[*nth];
                score(of(&key.to_be_bytes()), place, weight)
            };
            (0..servers.len())
                .max_by(|a, b| score(a).total_cmp(&score(b)))
                .expect("there are servers")
        };
        (0..KEYS).map(best).collect()
    }

    fn servers(weights: &[u64]) -> Vec<(u64, u64)> {
        let place = |nth| of(format!("10.0.0.{nth}:80").as_bytes());
        let weights = weights.iter().enumerate();
        weights.map(|(nth, weight)| (place(nth), *weight)).collect()
    }

    fn share(owners: &[usize], server: usize) -> f64 {
        let count = owners.iter().filter(|owner| **owner == server).count();
        count as f64 / owners.len() as f64
    }

    #[test]
    fn each_server_gets_its_weight() {
        let owners = owners(&servers(&[1, 2, 1]));
        for (server, expected) in [0.25, 0.5, 0.25].iter().enumerate() {
            let share = share(&owners, server);
            assert!((share - expected).abs() < 0.02, "{server}: {share}");
        }
    }

    #[test]
    fn a_further_server_moves_only_its_share() {
        let (before, after) = (owners(&servers(&[1; 4])), owners(&servers(&[1; 5])));
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b);
        let moved: Vec<_> = moved.collect();
        assert!(
            moved.iter().all(|(_, new)| **new == 4),
            "only to the new one"
        );
        let part = moved.len() as f64 / KEYS as f64;
        assert!((part - 0.2).abs() < 0.02, "{part}");
    }

    #[test]
    fn the_keys_of_a_server_that_is_gone_spread_over_the_others() {
        let all = servers(&[1; 4]);
        let (before, after) = (owners(&all), owners(&all[1..]));
        let mut heirs = [0u64; 4];
        for (before, after) in before.iter().zip(&after) {
            if *before == 0 {
                heirs[after + 1] += 1;
            } else {
                assert_eq!(*before, after + 1, "others keep theirs");
            }
        }
        let third = KEYS / 4 / 3;
        assert!(
            heirs[1..]
                .iter()
                .all(|count| count.abs_diff(third) < third / 5),
            "{heirs:?}"
        );
    }

    /// Another build must not send clients elsewhere.
    #[test]
    fn hashes_stay_as_they_are() {
        assert_eq!(of(b""), 0xefd0_1f60_ba99_2926);
        assert_eq!(of(b"10.0.0.1:80"), of(b"10.0.0.1:80"));
        assert!(score(1, 2, 1) > 0.0 && score(1, 2, 1).is_finite());
    }
}
