package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Known answers: what this library says of trees that anybody can grow again. Another implementation must say the same.
type vectors struct {
	About       string              `json:"about"`
	Key         keyVector           `json:"key"`
	Trees       []treeVector        `json:"trees"`
	Inclusion   []inclusionVector   `json:"inclusion"`
	Consistency []consistencyVector `json:"consistency"`
}

// An Ed25519 key that is no secret.
type keyVector struct {
	Seed        []byte `json:"seed"`
	VerifierKey string `json:"verifier_key"`
}

type treeVector struct {
	Size int64     `json:"size"`
	Root tlog.Hash `json:"root"`
	// Checkpoint is a signed note. Ed25519 is deterministic: there is one right note.
	Checkpoint string `json:"checkpoint"`
}

type inclusionVector struct {
	Leaf  int64       `json:"leaf"`
	Size  int64       `json:"size"`
	Proof []tlog.Hash `json:"proof"`
}

type consistencyVector struct {
	Old   int64       `json:"old"`
	New   int64       `json:"new"`
	Proof []tlog.Hash `json:"proof"`
}

const about = "Made by bench/verify (make-vectors) with golang.org/x/mod/sumdb v0.22.0. " +
	"Leaf n is the ASCII text \"leaf n\". Hashes and seed are base64; a proof starts at the leaf's end."

const logName = "town/shard/0"

// Of trees up to this size there are all proofs.
const allProofsMax = 8

// Small trees, and those at whose right edge a tile of 256 hashes, or the one above it, fills, is full, or has just begun.
var sizes = []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1000, 65535, 65536, 65537}

func writeVectors(path string) (string, error) {
	made, err := makeVectors()
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, made, 0o644); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes were written", len(made)), nil
}

func verifyVectors(path string) (string, error) {
	file, err := readFile(path)
	if err != nil {
		return "", err
	}
	var claimed vectors
	if err := json.Unmarshal(file, &claimed); err != nil {
		return "", err
	}
	if err := checkProofs(&claimed); err != nil {
		return "", err
	}
	made, err := makeVectors()
	if err != nil {
		return "", err
	}
	if !bytes.Equal(made, file) {
		return "", errors.New("every proof in it holds, but make-vectors would write another file")
	}
	return fmt.Sprintf("%d trees, %d inclusion proofs and %d consistency proofs are what this library makes",
		len(claimed.Trees), len(claimed.Inclusion), len(claimed.Consistency)), nil
}

// checkProofs runs the proofs against the roots that stand beside them.
func checkProofs(claimed *vectors) error {
	roots := map[int64]tlog.Hash{}
	for _, vector := range claimed.Trees {
		head, err := openCheckpoint([]byte(vector.Checkpoint), claimed.Key.VerifierKey)
		if err != nil {
			return err
		}
		if head.size != vector.Size || head.root != vector.Root {
			return fmt.Errorf("the checkpoint of the tree of %d leaves is of another", vector.Size)
		}
		roots[vector.Size] = vector.Root
	}
	for _, vector := range claimed.Inclusion {
		leaf := tlog.RecordHash(record(vector.Leaf))
		if tlog.CheckRecord(vector.Proof, vector.Size, roots[vector.Size], vector.Leaf, leaf) != nil {
			return fmt.Errorf("the proof for leaf %d of %d does not hold", vector.Leaf, vector.Size)
		}
	}
	for _, vector := range claimed.Consistency {
		if tlog.CheckTree(vector.Proof, vector.New, roots[vector.New], vector.Old, roots[vector.Old]) != nil {
			return fmt.Errorf("the proof from %d leaves to %d does not hold", vector.Old, vector.New)
		}
	}
	return nil
}

func makeVectors() ([]byte, error) {
	key, signer, err := knownKey()
	if err != nil {
		return nil, err
	}
	stored, err := growTree(sizes[len(sizes)-1])
	if err != nil {
		return nil, err
	}
	made := &vectors{About: about, Key: key}
	for _, size := range sizes {
		if err := made.addTree(size, stored, signer); err != nil {
			return nil, err
		}
	}
	file, err := json.MarshalIndent(made, "", " ")
	return append(file, '\n'), err
}

// addTree adds a tree and its proofs: for all leaves if it is small, and from all trees before.
func (made *vectors) addTree(size int64, stored storedHashes, signer note.Signer) error {
	root, err := tlog.TreeHash(size, stored)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", logName, size, root)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return err
	}
	made.Trees = append(made.Trees, treeVector{size, root, string(signed)})
	for _, leaf := range leavesOf(size) {
		proof, err := tlog.ProveRecord(size, leaf, stored)
		if err != nil {
			return err
		}
		made.Inclusion = append(made.Inclusion, inclusionVector{leaf, size, proof})
	}
	for _, tree := range made.Trees {
		if tree.Size == 0 {
			continue // RFC 6962 defines no proof from the empty tree
		}
		proof, err := tlog.ProveTree(size, tree.Size, stored)
		if err != nil {
			return err
		}
		made.Consistency = append(made.Consistency, consistencyVector{tree.Size, size, proof})
	}
	return nil
}

// leavesOf gives all leaves of a small tree, and those of a large one where mistakes are likely: at the edges of tiles and of the tree.
func leavesOf(size int64) []int64 {
	var leaves []int64
	for leaf := int64(0); leaf < size; leaf++ {
		inTile := leaf % 256
		atEdge := inTile < 2 || inTile > 253 || leaf+2 >= size
		nearEnd := leaf < 258 || leaf+258 >= size
		if size <= allProofsMax || atEdge && nearEnd || leaf == size/2 {
			leaves = append(leaves, leaf)
		}
	}
	return leaves
}

func knownKey() (keyVector, note.Signer, error) {
	seed := sha256.Sum256([]byte("a key that everybody knows"))
	public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(logName, public)
	if err != nil {
		return keyVector{}, nil, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return keyVector{}, nil, err
	}
	encoded := base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...))
	signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", logName, verifier.KeyHash(), encoded))
	return keyVector{seed[:], vkey}, signer, err
}

func record(leaf int64) []byte {
	return fmt.Appendf(nil, "leaf %d", leaf)
}

// storedHashes are all complete subtrees of a tree, in the order that tlog gives them.
type storedHashes []tlog.Hash

func (stored storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = stored[index]
	}
	return hashes, nil
}

func growTree(size int64) (storedHashes, error) {
	var stored storedHashes
	for leaf := int64(0); leaf < size; leaf++ {
		hashes, err := tlog.StoredHashes(leaf, record(leaf), stored)
		if err != nil {
			return nil, err
		}
		stored = append(stored, hashes...)
	}
	return stored, nil
}
