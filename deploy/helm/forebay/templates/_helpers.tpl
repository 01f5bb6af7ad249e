{{- define "forebay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "forebay.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "forebay.selector" -}}
app.kubernetes.io/name: {{ include "forebay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "forebay.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "forebay.selector" . }}
{{- end -}}

{{- define "forebay.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "forebay.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "forebay.credentialsSecret" -}}
{{- if .Values.credentials.existingSecret -}}
{{- .Values.credentials.existingSecret -}}
{{- else if .Values.credentials.keys -}}
{{- printf "%s-credentials" (include "forebay.fullname" .) -}}
{{- else -}}
{{- fail "credentials.existingSecret or credentials.keys is needed: a node that listens on a cluster takes signed requests only" -}}
{{- end -}}
{{- end -}}

{{- define "forebay.scheme" -}}
{{- if .Values.tls.existingSecret -}}HTTPS{{- else -}}HTTP{{- end -}}
{{- end -}}

{{/* The pod of both modes; `data` is how the data folder is kept. */}}
{{- define "forebay.pod" -}}
{{- $name := include "forebay.fullname" . -}}
metadata:
  labels:
    {{- include "forebay.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    checksum/credentials: {{ toJson .Values.credentials | sha256sum }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "forebay.serviceAccount" . }}
  automountServiceAccountToken: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext: {{ toYaml .Values.podSecurityContext | nindent 4 }}
  # Requests end first, then workers; the kubelet must not cut that short.
  terminationGracePeriodSeconds: {{ add 10 (int .Values.settings.shutdownSeconds) }}
  containers:
    - name: forebay
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      securityContext: {{ toYaml .Values.securityContext | nindent 8 }}
      env:
        - {name: FOREBAY_HOST, value: "0.0.0.0"}
        - {name: FOREBAY_PORT, value: "4566"}
        - {name: FOREBAY_DATA, value: /var/lib/forebay}
        - {name: FOREBAY_LOG_FORMAT, value: json}
        - {name: FOREBAY_LOG_LEVEL, value: {{ .Values.settings.logLevel | quote }}}
        - {name: FOREBAY_REGION, value: {{ .Values.settings.region | quote }}}
        - {name: FOREBAY_ACCOUNT, value: {{ .Values.settings.account | quote }}}
        - {name: FOREBAY_SHUTDOWN_SECONDS, value: {{ .Values.settings.shutdownSeconds | quote }}}
        - {name: FOREBAY_CREDENTIALS, value: /etc/forebay/credentials/credentials}
        - name: FOREBAY_PUBLIC_URL
          value: {{ .Values.settings.publicUrl | default (printf "%s://%s.%s:%v" (include "forebay.scheme" . | lower) $name .Release.Namespace .Values.service.port) | quote }}
        {{- if .Values.externalScaler.enabled }}
        - {name: FOREBAY_EXTERNAL_SCALER_PORT, value: {{ .Values.externalScaler.port | quote }}}
        {{- end }}
        {{- if .Values.tls.existingSecret }}
        - {name: FOREBAY_TLS_CERTIFICATE, value: /etc/forebay/tls/tls.crt}
        - {name: FOREBAY_TLS_KEY, value: /etc/forebay/tls/tls.key}
        {{- end }}
        {{- if eq .Values.mode "postgres" }}
        - {name: FOREBAY_SECRETS_KEY, value: /etc/forebay/secrets-key/secrets.key}
        - name: FOREBAY_STORE
          valueFrom:
            secretKeyRef:
              name: {{ .Values.postgres.existingSecret | default (printf "%s-postgres" $name) }}
              key: {{ if .Values.postgres.existingSecret }}{{ .Values.postgres.existingSecretKey }}{{ else }}url{{ end }}
        {{- end }}
        {{- range $key, $value := .Values.settings.extra }}
        - {name: FOREBAY_{{ $key | upper | replace "-" "_" }}, value: {{ $value | quote }}}
        {{- end }}
        {{- with .Values.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      ports:
        - {name: api, containerPort: 4566}
        {{- if .Values.externalScaler.enabled }}
        - {name: scaler, containerPort: {{ .Values.externalScaler.port }}}
        {{- end }}
      startupProbe:
        httpGet: {path: /_forebay/ready, port: api, scheme: {{ include "forebay.scheme" . }}}
        periodSeconds: 2
        # Migrations of a large store may take minutes.
        failureThreshold: 150
      readinessProbe:
        httpGet: {path: /_forebay/ready, port: api, scheme: {{ include "forebay.scheme" . }}}
        {{- toYaml .Values.probes | nindent 8 }}
      livenessProbe:
        httpGet: {path: /_forebay/health, port: api, scheme: {{ include "forebay.scheme" . }}}
        {{- toYaml .Values.probes | nindent 8 }}
      resources: {{ toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /var/lib/forebay}
        - {name: credentials, mountPath: /etc/forebay/credentials, readOnly: true}
        {{- if .Values.tls.existingSecret }}
        - {name: tls, mountPath: /etc/forebay/tls, readOnly: true}
        {{- end }}
        {{- if eq .Values.mode "postgres" }}
        - {name: secrets-key, mountPath: /etc/forebay/secrets-key, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: credentials
      secret: {secretName: {{ include "forebay.credentialsSecret" . }}, defaultMode: 0440}
    {{- if .Values.tls.existingSecret }}
    - name: tls
      secret: {secretName: {{ .Values.tls.existingSecret }}, defaultMode: 0440}
    {{- end }}
    {{- if eq .Values.mode "postgres" }}
    - name: secrets-key
      secret:
        secretName: {{ .Values.secretsKey.existingSecret | default (printf "%s-secrets-key" $name) }}
        defaultMode: 0440
    # Code of functions and objects are in the store; the folder is a cache of this node.
    - {name: data, emptyDir: {}}
    {{- else if .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim: {claimName: {{ .Values.persistence.existingClaim }}}
    {{- else if not .Values.persistence.enabled }}
    - {name: data, emptyDir: {}}
    {{- end }}
    {{- with .Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{ toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if eq .Values.mode "postgres" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{ include "forebay.selector" . | nindent 10 }}
  {{- end }}
{{- end -}}
