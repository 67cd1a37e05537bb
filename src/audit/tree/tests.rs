//! The Merkle tree against known values and hostile proofs.

use super::*;

/// Every complete node of a tree, as a log keeps them.
struct Kept(Vec<Complete>);

impl Hashes for Kept {
    fn hash(&self, level: u8, index: u64) -> Result<Digest, TreeError> {
        let found = self.0.iter().find(|node| (node.level, node.index) == (level, index));
        found.map(|node| node.hash).ok_or(TreeError::Missing { level, index })
    }
}

/// Trees of every size up to `size`: all nodes, and the root at each size.
fn grow(size: u64) -> (Kept, Vec<Digest>) {
    let mut frontier = Frontier::default();
    let (mut nodes, mut roots) = (Vec::new(), vec![frontier.root()]);
    for number in 0..size {
        nodes.extend(frontier.append(leaf(format!("leaf {number}").as_bytes())));
        roots.push(frontier.root());
    }
    (Kept(nodes), roots)
}

fn digest(text: &str) -> Digest {
    Digest::parse(text).unwrap()
}

/// The eight leaves and the roots of certificate-transparency's own tests (`merkle_tree_test.cc`), which every
/// implementation of RFC 6962 shares.
#[test]
fn roots_are_those_of_certificate_transparency() {
    let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::default();
    assert_eq!(frontier.root(), digest(roots[0]));
    for (leaf_text, root) in leaves.iter().zip(&roots[1..]) {
        let bytes: Vec<u8> = leaf_text
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        frontier.append(leaf(&bytes));
        assert_eq!(frontier.root(), digest(root));
    }
}

#[test]
fn every_leaf_of_every_tree_is_proved_to_be_there_and_nowhere_else() {
    let (kept, roots) = grow(40);
    for size in 1..=40 {
        let root = roots[usize::try_from(size).unwrap()];
        assert_eq!(super::root(size, &kept), Ok(root));
        for index in 0..size {
            let proof = prove_inclusion(index, size, &kept).unwrap();
            let hash = kept.hash(0, index).unwrap();
            assert_eq!(verify_inclusion(hash, index, size, root, &proof), Ok(()), "{index} of {size}");
            assert!(verify_inclusion(leaf(b"other"), index, size, root, &proof).is_err());
            assert!(verify_inclusion(hash, index + 1, size, root, &proof).is_err());
            assert!(verify_inclusion(hash, index, size, Digest([0; 32]), &proof).is_err());
            for at in 0..proof.len() {
                let mut changed = proof.clone();
                changed[at].0[31] ^= 1;
                assert!(verify_inclusion(hash, index, size, root, &changed).is_err());
            }
            let longer = [proof.as_slice(), &[hash]].concat();
            assert!(verify_inclusion(hash, index, size, root, &longer).is_err());
            assert!(proof.is_empty() || verify_inclusion(hash, index, size, root, &proof[1..]).is_err());
        }
        assert_eq!(prove_inclusion(size, size, &kept), Err(TreeError::Place { place: size, size }));
    }
}

#[test]
fn every_tree_is_proved_to_begin_with_every_smaller_one() {
    let (kept, roots) = grow(40);
    let head = |size: u64| Head { size, root: roots[usize::try_from(size).unwrap()] };
    for new in 0..=40 {
        for old in 0..=new {
            let proof = prove_consistency(old, new, &kept).unwrap();
            assert_eq!(verify_consistency(head(old), head(new), &proof), Ok(()), "{old} to {new}");
            let other = Head { root: Digest([0; 32]), ..head(old) };
            assert!(verify_consistency(other, head(new), &proof).is_err(), "{old} to {new}");
            let other = Head { root: Digest([0; 32]), ..head(new) };
            assert!(old == 0 && new > 0 || verify_consistency(head(old), other, &proof).is_err(), "{old} to {new}");
            for at in 0..proof.len() {
                let mut changed = proof.clone();
                changed[at].0[0] ^= 1;
                assert!(verify_consistency(head(old), head(new), &changed).is_err(), "{old} to {new}");
            }
            let longer = [proof.as_slice(), &[Digest([0; 32])]].concat();
            assert!(verify_consistency(head(old), head(new), &longer).is_err(), "{old} to {new}");
            assert!(proof.is_empty() || verify_consistency(head(old), head(new), &proof[1..]).is_err());
        }
        assert!(prove_consistency(new + 1, new, &kept).is_err());
        assert!(verify_consistency(head(1), Head::empty(), &[]).is_err());
    }
}

#[test]
fn a_frontier_goes_on_where_another_stopped() {
    let (kept, roots) = grow(40);
    for size in 0..40 {
        let mut frontier = Frontier::of(size, &kept).unwrap();
        assert_eq!((frontier.size(), frontier.root()), (size, roots[usize::try_from(size).unwrap()]));
        frontier.append(kept.hash(0, size).unwrap());
        assert_eq!(frontier.root(), roots[usize::try_from(size + 1).unwrap()]);
    }
}

#[test]
fn tiles_are_those_of_the_specification() {
    let hashes = |height, index, width| Tile { kind: TileKind::Hashes { height }, index, width };
    let entries = |index, width| Tile { kind: TileKind::Entries, index, width };
    for (tile, path) in [
        (hashes(0, 0, 256), "tile/0/000"),
        (hashes(0, 999, 1), "tile/0/999.p/1"),
        (hashes(1, 1000, 255), "tile/1/x001/000.p/255"),
        (entries(1_234_067, 256), "tile/entries/x001/x234/067"),
        (entries(0, 17), "tile/entries/000.p/17"),
    ] {
        assert_eq!((tile.path().as_str(), Tile::parse(path)), (path, Some(tile)));
    }
    for bad in [
        "",
        "tile/0",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x01/000",
        "tile/0/-01",
        "tile/0/+01",
        "tile/x/000",
        "tile/0/../000",
        "tile/0/000/",
        "tile/entries/99999999999999999999999",
    ] {
        assert_eq!(Tile::parse(bad), None, "{bad}");
    }
    // The specification's example: a tree of 70,000.
    let all = Tile::all(0, 70_000);
    let count = |kind, full| all.iter().filter(|tile| tile.kind == kind && (tile.width == 256) == full).count();
    assert_eq!((count(TileKind::Hashes { height: 0 }, true), count(TileKind::Entries, true)), (273, 273));
    assert!(all.contains(&hashes(0, 273, 112)) && all.contains(&entries(273, 112)));
    assert_eq!(count(TileKind::Hashes { height: 1 }, true), 1);
    assert!(all.contains(&hashes(1, 1, 17)) && all.contains(&hashes(2, 0, 1)));
    assert_eq!(all.len(), 273 * 2 + 2 + 2 + 1);
    assert_eq!(Tile::all(0, 256), [hashes(0, 0, 256), entries(0, 256), hashes(1, 0, 1)]);
    assert_eq!(Tile::all(300, 600).len(), 5);
    assert_eq!(Tile::all(0, 0), []);
}

#[test]
fn hashes_are_found_in_tiles() {
    let (kept, _) = grow(600);
    let size = 600u64;
    let tiles = InTiles(|height, index| {
        let tile = Tile::all(0, size)
            .into_iter()
            .find(|tile| (tile.kind, tile.index) == (TileKind::Hashes { height }, index))?;
        tile.range().map(|number| kept.hash(height * 8, number).ok()).collect()
    });
    for node in &kept.0 {
        assert_eq!(tiles.hash(node.level, node.index), Ok(node.hash), "{node:?}");
    }
    assert_eq!(tiles.hash(0, 600), Err(TreeError::Missing { level: 0, index: 600 }));
    assert_eq!(tiles.hash(9, 1), Err(TreeError::Missing { level: 9, index: 1 }));
}

#[test]
fn bundles_round_trip() {
    let long = vec![7; 65_535];
    let entries: Vec<&[u8]> = vec![b"", b"one", &long];
    let bytes = bundle(entries.clone()).unwrap();
    assert_eq!(bundle_entries(&bytes), Some(entries));
    assert_eq!(bundle([&*vec![0; 65_536]]), None);
    assert_eq!(bundle_entries(&bytes[..bytes.len() - 1]), None);
    assert_eq!(bundle_entries(&[0; 2 * 257]), None);
    assert_eq!(bundle_entries(&[0]), None);
    assert_eq!(bundle_entries(&[]), Some(vec![]));
}
