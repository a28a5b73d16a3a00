// Writes ghz's own HTML page of a run: reads the JSON report that ghz has written from the standard input. ghz itself writes
// one format a run, and a page of another run would be of other figures.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/bojand/ghz/printer"
	"github.com/bojand/ghz/runner"
)

func main() {
	if err := writePage(); err != nil {
		fmt.Fprintln(os.Stderr, "ghz-page:", err)
		os.Exit(1)
	}
}

func writePage() error {
	var report runner.Report
	if err := json.NewDecoder(os.Stdin).Decode(&report); err != nil {
		return fmt.Errorf("the report cannot be read: %w", err)
	}
	return (&printer.ReportPrinter{Out: os.Stdout, Report: &report}).Print("html")
}
