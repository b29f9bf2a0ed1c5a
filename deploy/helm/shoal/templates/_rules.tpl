{{- /* Refuses values against files/value-rules.yaml, all of them at once. */ -}}
{{- define "shoal.applyRules" -}}
{{- $rules := .Files.Get "files/value-rules.yaml" | fromYaml -}}
{{- $found := dict "lines" list -}}
{{- range $path, $keys := $rules.needed -}}
{{- $place := $.Values -}}
{{- range splitList "." $path -}}
{{- if . }}{{ $place = ternary (get $place .) dict (kindIs "map" (get $place .)) }}{{ end -}}
{{- end -}}
{{- range $key := $keys -}}
{{- /* Without the object itself its keys are not named one by one. */ -}}
{{- if and (kindIs "invalid" (get $place $key | default nil)) (or $place (not $path)) (not (hasKey $place $key)) -}}
{{- $_ := set $found "lines" (append $found.lines (printf "%s has no value; remove the key from your values to get the default" (list $path $key | compact | join "."))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $path, $kind := $rules.texts -}}
{{- include "shoal.applyKind" (dict "value" $.Values "shown" "" "steps" (splitList "." $path) "kind" (get $rules.kinds $kind) "found" $found) -}}
{{- end -}}
{{- if $found.lines }}{{ fail ($found.lines | uniq | join "\n") }}{{ end -}}
{{- end }}

{{- /* Looks at the texts under a path: dict "value" "shown" (the path so far) "steps" (the path from there) "kind" "found" (collects refusals) */ -}}
{{- define "shoal.applyKind" -}}
{{- $context := . -}}
{{- if not .steps -}}
{{- if and (kindIs "string" .value) (not (regexMatch .kind.pattern .value)) -}}
{{- $_ := set .found "lines" (append .found.lines (printf "%s is %q; it must %s" .shown .value .kind.must)) -}}
{{- end -}}
{{- else -}}
{{- $step := first .steps -}}
{{- $rest := rest .steps -}}
{{- if and (eq $step "~") (kindIs "map" .value) -}}
{{- range $key, $_ := .value -}}
{{- include "shoal.applyKind" (dict "value" $key "steps" $rest "shown" (printf "a key of %s" $context.shown) "kind" $context.kind "found" $context.found) -}}
{{- end -}}
{{- else if and (eq $step "*") (kindIs "map" .value) -}}
{{- range $key, $value := .value -}}
{{- include "shoal.applyKind" (dict "value" $value "steps" $rest "shown" (printf "%s.%s" $context.shown $key) "kind" $context.kind "found" $context.found) -}}
{{- end -}}
{{- else if and (eq $step "*") (kindIs "slice" .value) -}}
{{- range $at, $value := .value -}}
{{- include "shoal.applyKind" (dict "value" $value "steps" $rest "shown" (printf "%s[%d]" $context.shown $at) "kind" $context.kind "found" $context.found) -}}
{{- end -}}
{{- else if and (kindIs "map" .value) (hasKey .value $step) -}}
{{- include "shoal.applyKind" (dict "value" (get .value $step) "steps" $rest "shown" (list .shown $step | compact | join ".") "kind" $context.kind "found" $context.found) -}}
{{- end -}}
{{- end -}}
{{- end }}
