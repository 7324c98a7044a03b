#!/usr/bin/env pwsh
<#
.SYNOPSIS
Runs a load test and judges it by its targets and the money invariants. The twin of load.sh.

.DESCRIPTION
Exit codes: 0 passed, 1 failed, 2 the run could not be made.

.EXAMPLE
scripts/load.ps1 -LoadProfile smoke

.EXAMPLE
scripts/load.ps1 -LoadProfile standard -Url http://127.0.0.1:8080 -Json
#>
param(
    [string]$LoadProfile = 'smoke',  # $Profile is PowerShell's own
    [string]$Url = '',
    [switch]$Json
)
$ErrorActionPreference = 'Stop'
Set-Location (Join-Path $PSScriptRoot '..')

$candidates = '.venv/bin/python', '.venv/Scripts/python.exe'
$python = $candidates | Where-Object { Test-Path $_ } | Select-Object -First 1
if (-not $python) {
    [Console]::Error.WriteLine('load: there is no .venv; run tools/bootstrap venv first')
    exit 2
}

$arguments = @('-m', 'loadtest', '--profile', $LoadProfile)
if ($Url) { $arguments += @('--url', $Url) }
if ($Json) { $arguments += '--json' }
& $python @arguments
exit $LASTEXITCODE
