package main

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A checkpoint is the signed head of a tree (C2SP tlog-checkpoint).
type checkpoint struct {
	origin string
	size   int64
	root   tlog.Hash
}

// openCheckpoint reads a checkpoint that the key has signed. Signatures by other keys are ignored, as C2SP signed-note demands:
// witnesses may have added theirs.
func openCheckpoint(signed []byte, vkey string) (*checkpoint, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("the verifier key is malformed: it is <name>+<key id>+<base64 of the key>, as one word")
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return nil, fmt.Errorf("the checkpoint has no signature by this key of %s", verifier.Name())
	}
	var invalid *note.InvalidSignatureError
	if errors.As(err, &invalid) {
		return nil, fmt.Errorf("the signature does not verify: the checkpoint is not what %s signed", invalid.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("the checkpoint is not a signed note, or was cut off (%v)", err)
	}
	for _, signature := range opened.Sigs {
		if _, err := decodeBase64("the signature by "+signature.Name, signature.Base64); err != nil {
			return nil, err
		}
	}
	head, err := parseCheckpoint(opened.Text)
	if err != nil {
		return nil, err
	}
	if head.origin != verifier.Name() {
		return nil, fmt.Errorf("the checkpoint is of %s, but the key is that of %s", head.origin, verifier.Name())
	}
	return head, nil
}

// parseCheckpoint reads the text of a checkpoint; tlog.ParseTree would take only the head of Go's own log.
func parseCheckpoint(text string) (*checkpoint, error) {
	lines, err := splitLines("the checkpoint", text)
	if err != nil {
		return nil, err
	}
	if len(lines) < 3 {
		return nil, fmt.Errorf("the checkpoint does not have the three lines origin, size and root")
	}
	for _, line := range lines {
		if line == "" {
			return nil, fmt.Errorf("the checkpoint has an empty line")
		}
	}
	size, err := parseDecimal("the checkpoint's size", lines[1])
	if err != nil {
		return nil, err
	}
	root, err := decodeHash("the checkpoint's root", lines[2])
	if err != nil {
		return nil, err
	}
	return &checkpoint{origin: lines[0], size: size, root: root}, nil
}
