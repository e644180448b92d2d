{{- define "depthcache.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* At most 40 characters: a StatefulSet adds a hash of 11 to labels of at most 63, a service adds "-nodes". */}}
{{- define "depthcache.fullname" -}}
{{- $name := include "depthcache.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "depthcache.headless" -}}
{{ include "depthcache.fullname" . }}-nodes
{{- end }}

{{- define "depthcache.selector" -}}
app.kubernetes.io/name: {{ include "depthcache.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The job has another component: services and budgets must not select it. */}}
{{- define "depthcache.nodeSelector" -}}
{{ include "depthcache.selector" . }}
app.kubernetes.io/component: node
{{- end }}

{{- define "depthcache.labels" -}}
{{ include "depthcache.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "depthcache.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "depthcache.secretName" -}}
{{- required "secretName is empty: it must name a Secret with the files of a cluster. `depthcache cluster secrets DIR` makes them, and `kubectl create secret generic NAME --from-file=DIR` the Secret" .Values.secretName }}
{{- end }}

{{/* The first is the name in the certificate that clients of other namespaces use. */}}
{{- define "depthcache.serviceHost" -}}
{{ include "depthcache.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "depthcache.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
# Otherwise every start makes the files of the node readable for the group, and the node refuses them.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "depthcache.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities:
  drop: [ALL]
{{- end }}

{{/* A pod that is drained still answers reads, so both times may pass in full; the rest is for requests in flight. */}}
{{- define "depthcache.graceSeconds" -}}
{{ add (int .Values.shutdown.drainSeconds) (int .Values.shutdown.handoverSeconds) 20 }}
{{- end }}
