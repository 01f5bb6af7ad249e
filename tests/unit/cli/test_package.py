import io
import json
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest

from forebay.cli.build import build_folder
from forebay.cli.package import make_archive, package


class Bucket:
    """Keeps what packaging stores."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def names(self, location: Any) -> list[str]:
        key = location["S3Key"] if isinstance(location, dict) else location.removeprefix("s3://code/")
        return zipfile.ZipFile(io.BytesIO(self.objects[key])).namelist()


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def packaged(folder: Path, template: str, bucket: Bucket) -> dict[str, Any]:
    (folder / "template.yaml").write_text(template)
    return json.loads(package(folder / "template.yaml", bucket.put, bucket="code").template)


def test_code_folder_is_zipped_and_stored(tmp_path: Path, bucket: Bucket) -> None:
    write(tmp_path, src__app_dot_py="x = 1", src__lib__more_dot_py="y = 2")
    (tmp_path / "src" / "__pycache__").mkdir()
    (tmp_path / "src" / "__pycache__" / "z.pyc").touch()
    template = """
Transform: AWS::Serverless-2016-10-31
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {CodeUri: src/, Handler: app.h, Runtime: python3.12}}
  G: {Type: AWS::Lambda::Function, Properties: {Code: src, Handler: app.h, Runtime: python3.12, Role: !GetAtt R.Arn}}
"""
    found = packaged(tmp_path, template, bucket)["Resources"]
    assert bucket.names(found["F"]["Properties"]["CodeUri"]) == ["app.py", "lib/more.py"]
    code = found["G"]["Properties"]["Code"]
    assert code["S3Bucket"] == "code"
    assert found["F"]["Properties"]["CodeUri"] == f"s3://code/{code['S3Key']}"
    assert found["G"]["Properties"]["Role"] == {"Fn::GetAtt": ["R", "Arn"]}
    assert len(bucket.objects) == 1


def test_ready_archive_is_stored_as_it_is(tmp_path: Path, bucket: Bucket) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("index.py", "z")
    template = "Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: code.zip}}}"
    uri = packaged(tmp_path, template, bucket)["Resources"]["F"]["Properties"]["CodeUri"]
    assert bucket.objects[uri.removeprefix("s3://code/")] == (tmp_path / "code.zip").read_bytes()


def test_code_of_globals_and_of_the_templates_own_folder(tmp_path: Path, bucket: Bucket) -> None:
    write(tmp_path, src__a_dot_py="", b_dot_py="")
    template = """
Globals: {Function: {CodeUri: src}}
Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {Handler: a.h}}}
"""
    assert bucket.names(packaged(tmp_path, template, bucket)["Resources"]["F"]["Properties"]["CodeUri"]) == ["a.py"]
    alone = "Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {Handler: b.h}}}"
    names = bucket.names(packaged(tmp_path, alone, bucket)["Resources"]["F"]["Properties"]["CodeUri"])
    assert names == ["b.py", "src/a.py", "template.yaml"]


def test_what_is_remote_or_inline_is_left_alone(tmp_path: Path, bucket: Bucket) -> None:
    template = """
Resources:
  A: {Type: AWS::Serverless::Function, Properties: {CodeUri: s3://other/key}}
  B: {Type: AWS::Serverless::Function, Properties: {InlineCode: x}}
  C: {Type: AWS::Serverless::Function, Properties: {PackageType: Image, ImageUri: x}}
  D: {Type: AWS::Lambda::Function, Properties: {Code: {ZipFile: x}}}
"""
    found = packaged(tmp_path, template, bucket)["Resources"]
    assert found["A"]["Properties"] == {"CodeUri": "s3://other/key"}
    assert found["B"]["Properties"] == {"InlineCode": "x"}
    assert found["C"]["Properties"] == {"PackageType": "Image", "ImageUri": "x"}
    assert not bucket.objects


def test_included_and_definition_files_are_stored(tmp_path: Path, bucket: Bucket) -> None:
    write(tmp_path, api_dot_yaml="openapi: 3.0.1")
    template = """
Resources:
  A:
    Type: AWS::Serverless::HttpApi
    Properties:
      DefinitionBody: {'Fn::Transform': {Name: 'AWS::Include', Parameters: {Location: ./api.yaml}}}
  B: {Type: AWS::Serverless::HttpApi, Properties: {DefinitionUri: api.yaml}}
  C: {Type: AWS::ApiGatewayV2::Api, Properties: {BodyS3Location: api.yaml}}
"""
    found = packaged(tmp_path, template, bucket)["Resources"]
    (key,) = bucket.objects
    macro = found["A"]["Properties"]["DefinitionBody"]["Fn::Transform"]
    assert macro["Parameters"]["Location"] == f"s3://code/{key}"
    assert found["B"]["Properties"]["DefinitionUri"] == f"s3://code/{key}"
    assert found["C"]["Properties"]["BodyS3Location"] == {"Bucket": "code", "Key": key}
    assert bucket.objects[key] == b"openapi: 3.0.1"


def test_nested_templates_are_packaged_too(tmp_path: Path, bucket: Bucket) -> None:
    write(tmp_path, inner__t_dot_yaml="Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: src}}}")
    write(tmp_path, inner__src__a_dot_py="")
    template = "Resources: {S: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: inner/t.yaml}}}"
    url = packaged(tmp_path, template, bucket)["Resources"]["S"]["Properties"]["TemplateURL"]
    nested = json.loads(bucket.objects[url.removeprefix("https://s3.amazonaws.com/code/")])
    assert bucket.names(nested["Resources"]["F"]["Properties"]["CodeUri"]) == ["a.py"]


def test_template_nested_in_itself_is_refused(tmp_path: Path, bucket: Bucket) -> None:
    template = "Resources: {S: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: template.yaml}}}"
    with pytest.raises(click.ClickException, match="nested more than"):
        packaged(tmp_path, template, bucket)


def test_missing_file_is_named(tmp_path: Path, bucket: Bucket) -> None:
    template = "Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: src/}}}"
    with pytest.raises(click.ClickException, match=r"CodeUri of F names src/, and there is no"):
        packaged(tmp_path, template, bucket)


def test_malformed_template_is_refused_with_its_place(tmp_path: Path, bucket: Bucket) -> None:
    with pytest.raises(click.ClickException, match=r"YAML not well-formed. \(line"):
        packaged(tmp_path, "Resources: [", bucket)


def test_archives_are_the_same_for_the_same_files(tmp_path: Path) -> None:
    write(tmp_path, a_dot_py="1", run_dot_sh="#!/bin/sh")
    (tmp_path / "run.sh").chmod(0o755)
    first = make_archive(tmp_path)
    (tmp_path / "a.py").touch()
    assert make_archive(tmp_path) == first
    modes = {item.filename: item.external_attr >> 16 for item in zipfile.ZipFile(io.BytesIO(first)).infolist()}
    assert modes == {"a.py": 0o644, "run.sh": 0o755}


def build(path: Path, runtime: str, metadata: dict[str, Any] | None = None) -> Path:
    return build_folder("F", path, {"Runtime": runtime}, metadata, lambda _line: None)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def test_folder_without_dependencies_is_packed_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, app_dot_py="", requirements_dot_txt="# nothing\n\n", package_dot_json="{}")
    assert build(tmp_path, "python3.12") == tmp_path
    assert build(tmp_path, "nodejs22.x") == tmp_path


def test_requirements_are_installed_beside_the_code(tmp_path: Path) -> None:
    code = write(tmp_path / "code", app_dot_py="import helper", requirements_dot_txt="../wheel\n")
    setup = "from setuptools import setup; setup(name='helper', version='1', py_modules=['helper'])"
    write(tmp_path / "wheel", setup_dot_py=setup, helper_dot_py="")
    # A package that needs no network: pip builds it with the tools at hand or says why it cannot.
    try:
        built = build(code, "python3.11")
    except click.ClickException as error:
        pytest.skip(f"pip cannot build here: {error.message[:200]}")
    assert (built / "app.py").is_file()
    assert (built / "helper.py").is_file()
    assert not (code / "helper.py").exists()
    assert build(code, "python3.11") == built


def test_failing_installation_says_what_pip_said(tmp_path: Path) -> None:
    write(tmp_path, app_dot_py="", requirements_dot_txt="./no-such-folder-here\n")
    with pytest.raises(click.ClickException, match="The requirements of F cannot be installed"):
        build(tmp_path, "python3.11")


def test_compiled_sources_are_refused(tmp_path: Path) -> None:
    write(tmp_path, pom_dot_xml="<project/>")
    with pytest.raises(click.ClickException, match="sam build"):
        build(tmp_path, "java21")
    with pytest.raises(click.ClickException, match="built with rust-cargolambda"):
        build(tmp_path, "provided.al2023", {"BuildMethod": "rust-cargolambda"})


def test_makefile_builds_into_the_artifacts_folder(tmp_path: Path) -> None:
    write(tmp_path, Makefile='build-F:\n\techo built > "$(ARTIFACTS_DIR)/bootstrap"\n')
    built = build(tmp_path, "provided.al2023", {"BuildMethod": "makefile"})
    assert (built / "bootstrap").read_text() == "built\n"


def test_esbuild_without_esbuild_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, app_dot_ts="")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(click.ClickException, match="neither esbuild nor npm on this machine"):
        build(tmp_path, "nodejs22.x", {"BuildMethod": "esbuild"})


def test_unknown_types_are_refused_before_anything_is_built(tmp_path: Path, bucket: Bucket) -> None:
    write(tmp_path, src__app_dot_py="", src__requirements_dot_txt="./no-such-folder-here\n")
    template = """
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {CodeUri: src/, Handler: app.h, Runtime: python3.12}}
  C: {Type: AWS::ECS::Cluster}
"""
    with pytest.raises(click.ClickException, match=r"that Forebay does not have: \[AWS::ECS::Cluster\]"):
        packaged(tmp_path, template, bucket)


def test_packages_of_the_sdk_that_functions_do_not_carry_are_told(tmp_path: Path, bucket: Bucket) -> None:
    source = "const { S3 } = require('@aws-sdk/client-s3'); const clients = require('aws-sdk/clients/sqs')"
    write(tmp_path, src__app_dot_js=source, src__lib__more_dot_mjs="import '@smithy/core'")
    (tmp_path / "src" / "node_modules" / "aws-sdk").mkdir(parents=True)
    template = """
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {CodeUri: src/, Handler: app.h, Runtime: nodejs20.x}}
  G:
    Type: AWS::Lambda::Function
    Properties:
      {Code: {ZipFile: 'import "@aws-sdk/client-sqs"'}, Handler: index.h, Runtime: nodejs20.x, Role: r}
  P: {Type: AWS::Serverless::Function, Properties: {InlineCode: '"@aws-sdk/x"', Handler: app.h, Runtime: python3.12}}
"""
    (tmp_path / "template.yaml").write_text(template)
    found = package(tmp_path / "template.yaml", bucket.put, bucket="code").sdk_packages
    assert found == ("@aws-sdk/client-s3", "@aws-sdk/client-sqs", "@smithy/core")
