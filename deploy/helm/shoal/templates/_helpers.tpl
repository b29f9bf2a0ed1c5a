{{- define "shoal.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "shoal.labels" -}}
app.kubernetes.io/name: shoal
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* selector of a component: dict "root" $ "component" "agent" */ -}}
{{- define "shoal.selector" -}}
app.kubernetes.io/name: shoal
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* global.imageRegistry replaces the registry in the image's name; a name with a digest needs no tag */ -}}
{{- define "shoal.image" -}}
{{- $v2 := .Values.p2p.v2 -}}
{{- $image := $v2.image -}}
{{- with (.Values.global).imageRegistry -}}
{{- $image = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $image "") -}}
{{- end -}}
{{- if contains "@" $image -}}
{{- if $v2.imageTag }}{{ fail "p2p.v2: image names a digest, so imageTag must be empty" }}{{ end -}}
{{- $image -}}
{{- else -}}
{{- $image }}:{{ $v2.imageTag | default .Chart.AppVersion -}}
{{- end -}}
{{- end }}

{{- define "shoal.clusterSecret" -}}
{{ .Values.clusterSecret.existingSecret | default (printf "%s-cluster-secret" (include "shoal.name" .)) }}
{{- end }}

{{- /* security context of every container */ -}}
{{- define "shoal.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* argument: values of the component; podSecurityContext adds, for instance seLinuxOptions */ -}}
{{- define "shoal.podSecurity" -}}
{{- $ours := dict "runAsNonRoot" true "runAsUser" 10001 "runAsGroup" 10001 "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (mergeOverwrite $ours (deepCopy (.podSecurityContext | default dict))) -}}
{{- end }}

{{- /* the config of a node: dict "root" $ "mode" "agent" "cache" (dict ...) "throttle" n */ -}}
{{- define "shoal.nodeConfig" -}}
{{- $v2 := .root.Values.p2p.v2 -}}
DeployConfig:
  mode: {{ .mode }}
  logDir: /dadi-p2p/log
  logLevel: {{ $v2.logLevel }}
  logAudit: {{ $v2.logAudit }}
  logAuditMode: stdout
ProxyConfig:
  host: {{ .host }}
  port: {{ $v2.proxyPort }}
  {{- /* Every registry that is named without stars, or has an upstream, is known by the map: its bytes are shared between nodes under their digests. One with stars alone may be asked, by the allow-list. */}}
  {{- $entries := list }}
  {{- $named := list }}
  {{- $allow := $v2.allow }}
  {{- range $index, $registry := .root.Values.registries }}
  {{- with $registry }}
  {{- $isGlob := regexMatch "[*?]" .host }}
  {{- $name := .p2pHost | default .host | lower }}
  {{- $upstream := .upstream | default (ternary "" (printf "https://%s" (include "shoal.answeringHost" .host)) $isGlob) }}
  {{- if and $upstream (not (has $name $named)) }}
  {{- $named = append $named $name }}
  {{- $entry := dict "p2pHost" $name "upstream" $upstream }}
  {{- range $key := list "storage" "upstreams" "insecureSkipVerify" "proxy" "headers" }}
  {{- with get $registry $key }}{{ $_ := set $entry $key . }}{{ end }}
  {{- end }}
  {{- $files := printf "/etc/shoal-registries/%d" $index }}
  {{- with .ca }}{{ $_ := set $entry "caFile" (printf "%s/ca/ca.crt" $files) }}{{ end }}
  {{- with .clientCertSecret }}
  {{- $_ := set $entry "clientCertFile" (printf "%s/client/tls.crt" $files) }}
  {{- $_ := set $entry "clientKeyFile" (printf "%s/client/tls.key" $files) }}
  {{- end }}
  {{- with .credentialsSecret }}{{ $_ := set $entry "credentialsFile" (printf "%s/credentials/.dockerconfigjson" $files) }}{{ end }}
  {{- $entries = append $entries $entry }}
  {{- else if omit $registry "host" "mode" "p2pHost" "upstream" }}
  {{- fail (printf "registries: %s has settings of a connection (%s), but %s" .host (omit $registry "host" "mode" "p2pHost" "upstream" | keys | sortAlpha | join ", ") (ternary "another entry with the same name decides; give them to that one" "no upstream; name the registry without stars, or add its upstream" (not (empty $upstream)))) }}
  {{- else if and $isGlob (ne (include "shoal.registryMode" .) "mirror") }}
  {{- $allow = append $allow .host }}
  {{- end }}
  {{- end }}
  {{- end }}
  registries: {{ toJson $entries }}
  allow: {{ toJson (uniq $allow) }}
  accessCheck: {{ ternary "off" $v2.accessCheck (eq (toString $v2.accessCheck) "false") | quote }}
  proxyConcurrencyLimit: {{ $v2.proxyConcurrencyLimit | int64 }}
  throttleLimitMB: {{ .throttle }}
P2PConfig:
  port: {{ $v2.p2pPort }}
  discovery: kubernetes
  service: {{ include "shoal.name" .root }}
  secretFile: /etc/shoal-secret/secret
CacheConfig:
  dir: /dadi-p2p/cache
  capacity: {{ .cache.capacity | int64 }}
  memory: {{ .cache.memory | int64 }}
  aioEnable: {{ $v2.cache.aioEnable }}
  runtimeStore: {{ ternary "/dadi-p2p/runtime-store" "off" (not (empty .cache.runtimeStore)) | quote }}
ExporterConfig:
  enable: {{ $v2.exporter.enable }}
  port: {{ $v2.exporter.port }}
  standaloneExporterPort: true
{{- end }}

{{- /* probes of a node: dict "root" $ "onNode" (whether the proxy listens on the node's loopback) */ -}}
{{- define "shoal.nodeProbes" -}}
{{- $v2 := .root.Values.p2p.v2 -}}
{{- if $v2.exporter.enable -}}
readinessProbe:
  httpGet: {path: /readyz, port: {{ $v2.exporter.port }}}
  periodSeconds: 5
{{- else -}}
readinessProbe:
  tcpSocket: {port: {{ $v2.p2pPort }}}
  periodSeconds: 5
{{- end }}
# A frozen process still has an open port, so the probe asks the proxy itself. A frozen node is
# killed within 40 s. Its connections close, and waiting pulls continue at the registry.
livenessProbe:
  httpGet:
    path: /shoal/upstream?ns=docker.io
    port: {{ $v2.proxyPort }}
    {{- if .onNode }}
    host: 127.0.0.1
    {{- end }}
  initialDelaySeconds: 20
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
  terminationGracePeriodSeconds: 5
{{- end }}


{{- /* A root's proxy listens on its pod's loopback only: probes use the exporter if enabled, else the p2p port. */ -}}
{{- define "shoal.rootProbes" -}}
{{- $v2 := .Values.p2p.v2 -}}
{{- if $v2.exporter.enable -}}
readinessProbe:
  httpGet: {path: /readyz, port: {{ $v2.exporter.port }}}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: {{ $v2.exporter.port }}}
  periodSeconds: 20
  timeoutSeconds: 3
  failureThreshold: 5
{{- else -}}
readinessProbe:
  tcpSocket: {port: {{ $v2.p2pPort }}}
  periodSeconds: 5
livenessProbe:
  tcpSocket: {port: {{ $v2.p2pPort }}}
  periodSeconds: 20
  failureThreshold: 5
{{- end }}
{{- end }}

{{- /* Registries without a P2P host are not rewritten; only ACR's have one by rule. Argument: an entry of registries. */ -}}
{{- define "shoal.registryMode" -}}
{{- $byName := regexMatch "[.]cr[.]aliyuncs[.]com$" .host -}}
{{- .mode | default (ternary "rewrite" "mirror" (or $byName (not (empty .p2pHost)))) -}}
{{- end }}

{{- /* the host that serves a registry; Docker Hub's images use another name */ -}}
{{- define "shoal.answeringHost" -}}
{{- ternary "registry-1.docker.io" . (regexMatch "(?i)^((index|registry)[.])?docker[.]io$" .) -}}
{{- end }}

{{- /* The hosts that containerd pulls through the proxy, as JSON: {"hosts": {HOST: UPSTREAM or ""}} */ -}}
{{- define "shoal.nodeHosts" -}}
{{- $port := .Values.p2p.v2.proxyPort -}}
{{- $hosts := dict -}}
{{- range .Values.registries -}}
{{- $isGlob := regexMatch "[*?]" .host -}}
{{- $upstream := .upstream | default (ternary "" (printf "https://%s" (include "shoal.answeringHost" .host)) $isGlob) -}}
{{- if eq (include "shoal.registryMode" .) "mirror" -}}
{{- if not $isGlob }}{{ $_ := set $hosts .host (.upstream | default "") }}{{ end -}}
{{- else if .p2pHost -}}
{{- if not (hasKey $hosts (lower .p2pHost)) }}{{ $_ := set $hosts (lower .p2pHost) $upstream }}{{ end -}}
{{- else if and (not $isGlob) (regexMatch "^[A-Za-z0-9_-]+[.][A-Za-z0-9_.-]*[A-Za-z][A-Za-z0-9_.-]*$" .host) -}}
{{- $_ := set $hosts (printf "%s:%d" (regexReplaceAll "^([^.]+)[.]" (lower .host) "${1}.distributed.") (int $port)) $upstream -}}
{{- end -}}
{{- end -}}
{{- range .Values.containerd.hosts -}}
{{- if not (hasKey $hosts (lower .)) }}{{ $_ := set $hosts (lower .) "" }}{{ end -}}
{{- end -}}
{{- dict "hosts" $hosts | toJson -}}
{{- end }}

{{- /* "true" when the chart writes hosts.toml files on nodes */ -}}
{{- define "shoal.configuresNodes" -}}
{{- if and .Values.containerd.configure (get (include "shoal.nodeHosts" . | fromJson) "hosts") }}true{{ end -}}
{{- end }}

{{- /* bytes of a Kubernetes quantity; 0 when it is not set */ -}}
{{- define "shoal.bytes" -}}
{{- $text := toString (. | default 0) -}}
{{- $unit := regexFind "[A-Za-z]+$" $text -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (hasKey $factors $unit) }}{{ fail (printf "memory limit %s: not a quantity" $text) }}{{ end -}}
{{- mulf (regexFind "^[0-9.]+([eE][+]?[0-9]+)?" $text | float64) (get $factors $unit) | int64 -}}
{{- end }}

{{- /* parts of a pod template that components share, from their values */ -}}
{{- define "shoal.podExtras" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* environment that all containers share: list $ (values of the component) */ -}}
{{- define "shoal.extraEnv" -}}
{{- $root := index . 0 -}}
{{- if or $root.Values.trustedCA.secret $root.Values.trustedCA.configMap }}
- {name: NODE_EXTRA_CA_CERTS, value: /etc/shoal-ca/{{ $root.Values.trustedCA.key }}}
{{- end }}
{{- with (index . 1).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "shoal.extraMounts" -}}
{{- $root := index . 0 -}}
{{- if or $root.Values.trustedCA.secret $root.Values.trustedCA.configMap }}
- {name: trusted-ca, mountPath: /etc/shoal-ca, readOnly: true}
{{- end }}
{{- if ne (len .) 3 }}
{{- range include "shoal.registryFiles" $root | fromJsonArray }}
- {name: {{ .name }}, mountPath: {{ .mountPath }}, readOnly: true}
{{- end }}
{{- end }}
{{- with (index . 1).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Secrets and ConfigMaps that registries name: volumes with their mountPath, as a JSON list */ -}}
{{- define "shoal.registryFiles" -}}
{{- $files := list -}}
{{- range $index, $registry := .Values.registries -}}
{{- $sources := dict -}}
{{- with $registry.ca -}}
{{- if .secret -}}{{- $_ := set $sources "ca" (dict "secret" (dict "secretName" .secret)) -}}
{{- else -}}{{- $_ := set $sources "ca" (dict "configMap" (dict "name" .configMap)) -}}{{- end -}}
{{- end -}}
{{- with $registry.clientCertSecret -}}{{- $_ := set $sources "client" (dict "secret" (dict "secretName" .)) -}}{{- end -}}
{{- with $registry.credentialsSecret -}}{{- $_ := set $sources "credentials" (dict "secret" (dict "secretName" .)) -}}{{- end -}}
{{- range $kind, $source := $sources -}}
{{- $place := dict "name" (printf "registry-%d-%s" $index $kind) "mountPath" (printf "/etc/shoal-registries/%d/%s" $index $kind) -}}
{{- $files = append $files (merge $place $source) -}}
{{- end -}}
{{- end -}}
{{- toJson $files -}}
{{- end }}

{{- define "shoal.extraVolumes" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.trustedCA }}
{{- if .secret }}
- {name: trusted-ca, secret: {secretName: {{ .secret }}}}
{{- else if .configMap }}
- {name: trusted-ca, configMap: {name: {{ .configMap }}}}
{{- end }}
{{- end }}
{{- if ne (len .) 3 }}
{{- range include "shoal.registryFiles" $root | fromJsonArray }}
- {{ toJson (omit . "mountPath") }}
{{- end }}
{{- end }}
{{- with (index . 1).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
