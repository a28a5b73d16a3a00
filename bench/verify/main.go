// Command verify checks from outside what Urna hands out: receipts, checkpoints, and that checkpoints continue one another.
//
// It shares no line with the rest of Urna. It reads files as the public documents define them (C2SP tlog-proof, signed-note
// and tlog-checkpoint; RFC 6962); whatever is hashed or signed is checked by golang.org/x/mod, the library that checks the
// checksum database of Go itself.
//
//	verify receipt FILE VKEY                     a tlog-proof file: is its entry in the tree that VKEY signed?
//	verify receipts DIR VKEY                     the same for every file of a folder, a line each
//	verify consistency OLD NEW PROOF VKEY        two signed checkpoints: does the tree of NEW start with that of OLD?
//	verify vectors FILE                          known answers: are they what this library computes?
//	verify make-vectors FILE                     writes them
//
// Every answer is one line that starts with "ok: " or "refused: ". The exit code is 0 when nothing was refused, 1 when
// something was, and 2 when the command was not understood.
package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
)

const usage = `usage: verify receipt FILE VKEY
       verify receipts DIR VKEY
       verify consistency OLD_NOTE NEW_NOTE PROOF VKEY
       verify vectors FILE
       verify make-vectors FILE
`

// fileBytesMax bounds what is read of a file: nothing that is checked here is nearly as long.
const fileBytesMax = 1 << 20

func main() {
	out := bufio.NewWriter(os.Stdout)
	code := run(os.Args[1:], out)
	out.Flush()
	os.Exit(code)
}

func run(args []string, out *bufio.Writer) int {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch {
	case command == "receipt" && len(args) == 2:
		return answer(out, args[0], func() (string, error) { return verifyReceiptFile(args[0], args[1]) })
	case command == "receipts" && len(args) == 2:
		return verifyFolder(out, args[0], args[1])
	case command == "consistency" && len(args) == 4:
		return answer(out, args[1], func() (string, error) {
			return verifyConsistencyFiles(args[0], args[1], args[2], args[3])
		})
	case command == "vectors" && len(args) == 1:
		return answer(out, args[0], func() (string, error) { return verifyVectors(args[0]) })
	case command == "make-vectors" && len(args) == 1:
		return answer(out, args[0], func() (string, error) { return writeVectors(args[0]) })
	}
	fmt.Fprint(os.Stderr, usage)
	return 2
}

// answer prints the one line of a check, and gives the exit code.
func answer(out *bufio.Writer, name string, check func() (string, error)) int {
	sentence, err := check()
	if err != nil {
		fmt.Fprintf(out, "refused: %s: %v\n", name, err)
		return 1
	}
	fmt.Fprintf(out, "ok: %s: %s\n", name, sentence)
	return 0
}

// verifyFolder answers for each file of a folder, in the order of their names, under its name alone.
func verifyFolder(out *bufio.Writer, folder, vkey string) int {
	entries, err := os.ReadDir(folder)
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("there is no file in it")
	}
	if err != nil {
		return answer(out, folder, func() (string, error) { return "", err })
	}
	code := 0
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		code |= answer(out, entry.Name(), func() (string, error) { return verifyReceiptFile(path, vkey) })
	}
	return code
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > fileBytesMax {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", path, info.Size(), fileBytesMax)
	}
	return os.ReadFile(path)
}
