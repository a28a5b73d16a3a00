package main

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const proofHeader = "c2sp.org/tlog-proof@v1"

// A proof is what a C2SP tlog-proof file holds.
type proof struct {
	// entry is the file's extra data. What they mean is the log's affair: Urna's are the entry whose hash is the leaf.
	entry  []byte
	index  int64
	hashes []tlog.Hash
	// signed is the checkpoint as it stands in the file, with its signatures.
	signed []byte
}

func verifyReceiptFile(path, vkey string) (string, error) {
	file, err := readFile(path)
	if err != nil {
		return "", err
	}
	parsed, err := parseProof(string(file))
	if err != nil {
		return "", err
	}
	head, err := openCheckpoint(parsed.signed, vkey)
	if err != nil {
		return "", err
	}
	if parsed.index >= head.size {
		return "", fmt.Errorf("it is of leaf %d, but the checkpoint is of a tree of %d leaves", parsed.index, head.size)
	}
	leaf := tlog.RecordHash(parsed.entry)
	if err := tlog.CheckRecord(parsed.hashes, head.size, head.root, parsed.index, leaf); err != nil {
		return "", fmt.Errorf("the proof does not lead from the entry at index %d to the signed root", parsed.index)
	}
	return fmt.Sprintf("leaf %d, %s, is in the tree of %d leaves that %s signed, with root %s",
		parsed.index, leaf, head.size, head.origin, head.root), nil
}

func parseProof(file string) (*proof, error) {
	if strings.Contains(file, "\r") {
		return nil, fmt.Errorf("the file has a carriage return: its lines must end with a line feed alone, not CRLF")
	}
	head, signed, found := strings.Cut(file, "\n\n")
	lines := strings.Split(head, "\n")
	if lines[0] != proofHeader {
		return nil, fmt.Errorf("the file does not start with the line %s", proofHeader)
	}
	if !found || signed == "" {
		return nil, fmt.Errorf("the file has no checkpoint; it may have been cut off")
	}
	lines = lines[1:]
	extra, lines := takeField(lines, "extra ")
	index, lines := takeField(lines, "index ")
	if extra == nil {
		return nil, fmt.Errorf("the file has no entry: the line \"extra <base64>\" is missing")
	}
	if index == nil {
		return nil, fmt.Errorf("the file does not have the line \"index <number>\" where one is due")
	}
	parsed := &proof{signed: []byte(signed)}
	var err error
	if parsed.entry, err = decodeBase64("the entry", *extra); err != nil {
		return nil, err
	}
	if parsed.index, err = parseDecimal("the index", *index); err != nil {
		return nil, err
	}
	if parsed.hashes, err = decodeHashes("the proof", lines); err != nil {
		return nil, err
	}
	return parsed, nil
}

// takeField takes the first line if it starts so, and gives the rest of it and the other lines.
func takeField(lines []string, start string) (*string, []string) {
	if len(lines) == 0 || !strings.HasPrefix(lines[0], start) {
		return nil, lines
	}
	value := strings.TrimPrefix(lines[0], start)
	return &value, lines[1:]
}
