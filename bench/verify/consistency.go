package main

import (
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// verifyConsistencyFiles checks two signed checkpoints with the hashes that lead from one to the other, a line each.
func verifyConsistencyFiles(oldPath, newPath, proofPath, vkey string) (string, error) {
	older, err := readCheckpoint(oldPath, vkey)
	if err != nil {
		return "", err
	}
	newer, err := readCheckpoint(newPath, vkey)
	if err != nil {
		return "", err
	}
	file, err := readFile(proofPath)
	if err != nil {
		return "", err
	}
	lines, err := splitLines("the proof", string(file))
	if err != nil {
		return "", err
	}
	hashes, err := decodeHashes("the proof", lines)
	if err != nil {
		return "", err
	}
	if err := checkConsistency(older, newer, hashes); err != nil {
		return "", err
	}
	return fmt.Sprintf("the %d leaves of %s are the first of its %d, unchanged", older.size, newer.origin, newer.size), nil
}

func readCheckpoint(path, vkey string) (*checkpoint, error) {
	signed, err := readFile(path)
	if err != nil {
		return nil, err
	}
	head, err := openCheckpoint(signed, vkey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return head, nil
}

func checkConsistency(older, newer *checkpoint, hashes []tlog.Hash) error {
	if older.size > newer.size {
		return fmt.Errorf("the tree has shrunk from %d leaves to %d: votes were lost", older.size, newer.size)
	}
	if older.size == newer.size && older.root != newer.root {
		return fmt.Errorf("two roots of one size, %d leaves, are signed: the log has two histories", older.size)
	}
	// Every tree starts with the empty one; tlog has no proof of that, and RFC 6962 defines none.
	if older.size == 0 {
		if older.root != tlog.Hash(sha256.Sum256(nil)) {
			return fmt.Errorf("the older checkpoint has no leaves, but not the root of the empty tree")
		}
		if len(hashes) != 0 {
			return fmt.Errorf("the proof has %d hashes, but a proof from the empty tree has none", len(hashes))
		}
		return nil
	}
	if tlog.CheckTree(hashes, newer.size, newer.root, older.size, older.root) != nil {
		return fmt.Errorf("the proof does not show that the tree of %d leaves starts with that of %d: "+
			"the proof is wrong, or leaves were changed", newer.size, older.size)
	}
	return nil
}
