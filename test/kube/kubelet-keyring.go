// Answers with the credentials that the kubelet finds for images in pull secrets, by the kubelet's own code.
//
// Each line of the input is {"auths": {KEY: {"username": ...}}, "images": [IMAGE...]}; each line of the output lists, for each
// image, the user names in the kubelet's order. Where the kubelet has no order, the user names are sorted.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
)

type question struct {
	Auths  map[string]json.RawMessage
	Images []string
}

func main() {
	input, output := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for input.More() {
		var asked question
		if err := input.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answer, err := lookup(asked)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		output.Encode(answer)
	}
}

func lookup(asked question) ([][]string, error) {
	// A secret per key: within one secret the kubelet ranges over a map.
	single := []v1.Secret{}
	for key, entry := range asked.Auths {
		data, err := json.Marshal(map[string]any{"auths": map[string]any{key: entry}})
		if err != nil {
			return nil, err
		}
		single = append(single, v1.Secret{Type: v1.SecretTypeDockerConfigJson, Data: map[string][]byte{v1.DockerConfigJsonKey: data}})
	}
	user := func(at int) string {
		var entry struct{ Auths map[string]struct{ Username string } }
		json.Unmarshal(single[at].Data[v1.DockerConfigJsonKey], &entry)
		for _, one := range entry.Auths {
			return one.Username
		}
		return ""
	}
	sort.Slice(single, func(a, b int) bool { return user(a) < user(b) })
	keyring, err := secrets.MakeDockerKeyring(single, &credentialprovider.BasicDockerKeyring{})
	if err != nil {
		return nil, err
	}
	found := [][]string{}
	for _, image := range asked.Images {
		users := []string{}
		credentials, _ := keyring.Lookup(image)
		for _, one := range credentials {
			users = append(users, one.Username)
		}
		found = append(found, users)
	}
	return found, nil
}
