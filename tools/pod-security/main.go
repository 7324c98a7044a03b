// Command pod-security judges pod templates as the API server's Pod Security admission does.
//
// It reads a JSON array of pod templates and writes an array with a list of sentences for each:
// what the level "restricted" of the Pod Security Standards forbids.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

var restricted = api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var templates []corev1.PodTemplateSpec
	if err := json.NewDecoder(os.Stdin).Decode(&templates); err != nil {
		return err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	found := make([][]string, len(templates))
	for i := range templates {
		pod := &templates[i]
		found[i] = []string{}
		for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				found[i] = append(found[i], result.ForbiddenReason+": "+result.ForbiddenDetail)
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}
