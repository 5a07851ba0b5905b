"""What Inductor needs, told before it is asked to compile."""

import sysconfig

from hrm.toolchain import missing_compiler


def test_the_compiler_that_inductor_would_take_is_the_one_that_is_looked_for(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no C++ compiler no-such-compiler" in str(missing_compiler())


def test_headers_are_needed_as_well(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "sh")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert "Python's headers are not here" in str(missing_compiler())
    (tmp_path / "Python.h").touch()
    assert missing_compiler() is None
