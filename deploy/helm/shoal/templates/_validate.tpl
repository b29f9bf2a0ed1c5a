{{- /* Refuses combinations that the schema cannot: those that kill agents or leave pods without an image. */ -}}
{{- define "shoal.validate" -}}
{{- include "shoal.applyRules" . -}}
{{- $v2 := .Values.p2p.v2 -}}
{{- $ports := dict "p2p.v2.p2pPort" $v2.p2pPort "p2p.v2.proxyPort" $v2.proxyPort -}}
{{- if $v2.exporter.enable }}{{ $_ := set $ports "p2p.v2.exporter.port" $v2.exporter.port }}{{ end -}}
{{- range $a, $portA := $ports -}}{{- range $b, $portB := $ports -}}
{{- if and (lt $a $b) (eq (int $portA) (int $portB)) -}}
{{- fail (printf "%s and %s are both %d; give them different ports" $a $b (int $portA)) -}}
{{- end -}}{{- end -}}{{- end -}}
{{- $caches := list (list "p2p.v2.cache.memory" $v2.cache.memory "agent.resources" .Values.agent.resources) -}}
{{- if .Values.root.enabled }}{{ $caches = append $caches (list "root.cache.memory" .Values.root.cache.memory "root.resources" .Values.root.resources) }}{{ end -}}
{{- range $caches -}}
{{- $limit := include "shoal.bytes" ((index . 3).limits).memory | int64 -}}
{{- /* Code, heaps and buffers use up to 256 MiB besides the cache. */ -}}
{{- $needed := add (index . 1 | int64) 268435456 -}}
{{- if and (gt $limit 0) (lt $limit $needed) -}}
{{- fail (printf "%s.limits.memory is %d bytes; with %s = %d a node needs at least %d" (index . 2) $limit (index . 0) (index . 1 | int64) $needed) -}}
{{- end -}}
{{- end -}}
{{- $webhookLimit := include "shoal.bytes" ((.Values.webhook.resources).limits).memory | int64 -}}
{{- if and .Values.webhook.enabled (gt $webhookLimit 0) (lt $webhookLimit 201326592) -}}
{{- fail (printf "webhook.resources.limits.memory is %d bytes; the webhook needs at least 201326592" $webhookLimit) -}}
{{- end -}}
{{- if .Values.agent.hostNetwork -}}
{{- range $name, $port := $ports -}}
{{- if lt (int $port) 1024 }}{{ fail (printf "%s is %d; on the node's network agents have no right to ports below 1024" $name (int $port)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $cacheDir := $v2.cache.hostPath -}}
{{- if or (ne (clean $cacheDir) (trimSuffix "/" $cacheDir)) (regexMatch "^/((home|mnt|opt|root|run|srv|tmp|var|var/(lib|log|run)|var/lib/(containerd|docker|kubelet)|(bin|boot|dev|etc|lib|lib64|proc|sbin|sys|usr)(/.*)?))?$" (clean $cacheDir)) -}}
{{- fail (printf "p2p.v2.cache.hostPath is %s: agents become the owner of this directory; name one that only Shoal uses, for instance /var/lib/shoal/cache" $cacheDir) -}}
{{- end -}}
{{- range list $v2.cache.runtimeStore .Values.containerd.certsDir .Values.containerd.configFile -}}
{{- if and . (hasPrefix (printf "%s/" (clean $cacheDir)) (printf "%s/" (clean .))) -}}
{{- fail (printf "p2p.v2.cache.hostPath is %s, which holds containerd's %s; name a directory that only Shoal uses" $cacheDir .) -}}
{{- end -}}
{{- end -}}
{{- $strategy := (.Values.agent.updateStrategy).type | default "OnDelete" -}}
{{- if not (has $strategy (list "OnDelete" "RollingUpdate")) -}}
{{- fail (printf "agent.updateStrategy.type is %v; a DaemonSet knows RollingUpdate and OnDelete" $strategy) -}}
{{- end -}}
{{- if and .Values.trustedCA.secret .Values.trustedCA.configMap -}}
{{- fail "trustedCA names a secret and a configMap; keep one of them" -}}
{{- end -}}
{{- range $component := list "agent" "root" "webhook" -}}
{{- range $label, $_ := (get $.Values $component).podLabels -}}
{{- if has $label (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component") -}}
{{- fail (printf "%s.podLabels: %s is the chart's own; services and policies select by it" $component $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $upstreams := dict -}}
{{- $hosts := list -}}
{{- range .Values.registries -}}
{{- if has (lower .host) $hosts }}{{ fail (printf "registries: two entries have the host %s; another entry with the same name decides, remove one" .host) }}{{ end -}}
{{- $hosts = append $hosts (lower .host) -}}
{{- $isGlob := regexMatch "[*?]" .host -}}
{{- if and (hasKey . "ca") (ne (len .ca) 1) -}}
{{- fail (printf "registries: ca of %s must name a secret or a configMap, one of them" .host) -}}
{{- end -}}
{{- if and .p2pHost (eq (include "shoal.registryMode" .) "mirror") -}}
{{- fail (printf "registries: %s has mode mirror, which rewrites nothing, and a p2pHost; remove one of them" .host) -}}
{{- end -}}
{{- if and (not .p2pHost) (eq (include "shoal.registryMode" .) "rewrite") (or (not (regexMatch "[.*?]" .host)) (regexMatch "^[0-9.]+$|:" .host)) -}}
{{- fail (printf "registries: %s has mode rewrite, but without a p2pHost only names without a port can be rewritten; add a p2pHost, or take mode mirror" .host) -}}
{{- end -}}
{{- if and .p2pHost $isGlob (not .upstream) -}}
{{- fail (printf "registries: %s has a p2pHost and is a glob, so it needs an upstream" .host) -}}
{{- end -}}
{{- if .p2pHost -}}
{{- if eq (lower .p2pHost) (lower .host) }}{{ fail (printf "registries: the p2pHost of %s is the registry itself; it must be another name" .host) }}{{ end -}}
{{- $upstream := .upstream | default (printf "https://%s" .host) | trimSuffix "/" -}}
{{- $known := get $upstreams (lower .p2pHost) | default $upstream -}}
{{- if ne $known $upstream }}{{ fail (printf "registries: the p2pHost %s leads to %s and to %s; give each registry a p2pHost of its own, or both the same upstream" .p2pHost $known $upstream) }}{{ end -}}
{{- $_ := set $upstreams (lower .p2pHost) $upstream -}}
{{- if and $.Values.webhook.enabled (not $.Values.containerd.configure) (not (has .p2pHost $.Values.containerd.hosts)) -}}
{{- fail (printf "registries: images would be rewritten to %s, but containerd.configure is false and containerd.hosts does not list it; pods could not pull" .p2pHost) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not $v2.exporter.enable) -}}
{{- fail "serviceMonitor.enabled needs p2p.v2.exporter.enable" -}}
{{- end -}}
{{- if and (not .Values.agent.hostNetwork) (not .Values.networkPolicy.enabled) -}}
{{- fail "agent.hostNetwork=false opens the proxy port in the pod network; keep networkPolicy.enabled=true, which closes it for other pods" -}}
{{- end -}}
{{- if and .Values.startupTaint.enabled (not (include "shoal.configuresNodes" .)) -}}
{{- fail "startupTaint.enabled needs nodes that the chart configures: containerd.configure and hosts" -}}
{{- end -}}
{{- end }}
