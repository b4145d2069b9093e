// Builds a kustomization with the engine of kustomize and kubectl -k, and prints the objects as YAML, or says what is wrong.
// The folder alone is read: nothing outside of it, nothing from the network, no plug-ins.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	if err := build(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func build(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("usage: kustomize FOLDER")
	}
	found, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), arguments[0])
	if err != nil {
		return err
	}
	text, err := found.AsYaml()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
