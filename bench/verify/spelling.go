package main

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// sizeMax is the largest tree that is checked: tlog looks for the power of two below a size by doubling, and for more than
// this it would never end.
const sizeMax = 1 << 62

// decodeBase64 reads standard base64 (RFC 4648, section 4) in the one spelling that an encoder gives it. Go's own
// decoder also takes line ends in between and any value of the bits that the padding leaves over; with those, a file could be changed
// and would still be read.
func decodeBase64(what, text string) ([]byte, error) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(decoded) != text {
		return nil, fmt.Errorf("%s is not canonical base64", what)
	}
	return decoded, nil
}

func decodeHash(what, text string) (tlog.Hash, error) {
	decoded, err := decodeBase64(what, text)
	if err != nil {
		return tlog.Hash{}, err
	}
	if len(decoded) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("%s has %d bytes, not %d", what, len(decoded), tlog.HashSize)
	}
	return tlog.Hash(decoded), nil
}

func decodeHashes(what string, lines []string) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, len(lines))
	for i, line := range lines {
		hash, err := decodeHash(fmt.Sprintf("hash %d of %s", i+1, what), line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// parseDecimal reads an ASCII decimal without sign and leading zeroes.
func parseDecimal(what, text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || strconv.FormatInt(number, 10) != text {
		return 0, fmt.Errorf("%s %q is not a decimal number without leading zeroes, or is too large", what, text)
	}
	if number > sizeMax {
		return 0, fmt.Errorf("%s %d is larger than any tree that can be checked", what, number)
	}
	return number, nil
}

// splitLines gives the lines of a text of which each ends with a line feed, and none with a carriage return.
func splitLines(what, text string) ([]string, error) {
	if strings.Contains(text, "\r") {
		return nil, fmt.Errorf("%s has a carriage return: its lines must end with a line feed alone, not CRLF", what)
	}
	if text == "" {
		return nil, nil
	}
	if !strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("%s ends in the middle of a line; it may have been cut off", what)
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n"), nil
}
