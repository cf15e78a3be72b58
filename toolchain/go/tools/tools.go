//go:build tools

// Package tools names the programs that this module exists to build.
package tools

import (
	_ "github.com/open-policy-agent/opa"
	_ "github.com/versity/versitygw/cmd/versitygw"
)
