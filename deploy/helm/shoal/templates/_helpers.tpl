{{- define "shoal.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "shoal.labels" -}}
app.kubernetes.io/name: shoal
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* selector of one component: dict "root" $ "component" "agent" */ -}}
{{- define "shoal.selector" -}}
app.kubernetes.io/name: shoal
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "shoal.image" -}}
{{ .Values.p2p.v2.image }}:{{ .Values.p2p.v2.imageTag | default .Chart.AppVersion }}
{{- end }}

{{- define "shoal.clusterSecret" -}}
{{ .Values.clusterSecret.existingSecret | default (printf "%s-cluster-secret" (include "shoal.name" .)) }}
{{- end }}

{{- /* what every container of ours may do at most */ -}}
{{- define "shoal.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "shoal.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
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
  {{- /* What the webhook rewrites, a node must be able to fetch: a P2P host of its own is known by the map, the registry of any other by the allow-list. */}}
  {{- $entries := list }}
  {{- $named := list }}
  {{- range .root.Values.registries }}
  {{- if .upstream }}
  {{- $named = append $named (.p2pHost | default .host) }}
  {{- $entries = append $entries (dict "p2pHost" (.p2pHost | default .host) "upstream" .upstream) }}
  {{- end }}
  {{- end }}
  {{- $allow := $v2.allow }}
  {{- range .root.Values.registries }}
  {{- $isMirror := eq (.mode | default "rewrite") "mirror" }}
  {{- $isGlob := regexMatch "[*?]" .host }}
  {{- $host := ternary "registry-1.docker.io" .host (regexMatch "(?i)^((index|registry)[.])?docker[.]io$" .host) }}
  {{- $p2pHost := ternary "" (.p2pHost | default "") $isMirror }}
  {{- if or .upstream (has $p2pHost $named) (and $isMirror $isGlob) }}
  {{- else if not $p2pHost }}
  {{- $allow = append $allow $host }}
  {{- else if $isGlob }}
  {{- fail (printf "registries: %s has a p2pHost and is a glob, so it needs an upstream" .host) }}
  {{- else }}
  {{- $named = append $named $p2pHost }}
  {{- $entries = append $entries (dict "p2pHost" $p2pHost "upstream" (printf "https://%s" $host)) }}
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
ExporterConfig:
  enable: {{ $v2.exporter.enable }}
  port: {{ $v2.exporter.port }}
  standaloneExporterPort: true
{{- end }}

{{- /* probes of a node: the exporter's health where it is on, else whether the p2p port is open */ -}}
{{- define "shoal.nodeProbes" -}}
{{- $v2 := .Values.p2p.v2 -}}
{{- if $v2.exporter.enable -}}
readinessProbe:
  httpGet: {path: /readyz, port: {{ $v2.exporter.port }}}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: {{ $v2.exporter.port }}}
  periodSeconds: 20
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
