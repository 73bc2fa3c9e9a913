"""Certificates for tests, by openssl(1): an authority and leaves of it, in a folder."""
import os
import subprocess


def openssl(*argv, **more):
    subprocess.run(["openssl", *argv], check=True, capture_output=True, **more)


class Authority:
    def __init__(self, directory, name="ca"):
        os.makedirs(directory, exist_ok=True)
        self.dir, self.name = directory, name
        self.ca = self.path(name + ".crt")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                "-keyout", self.path(name + ".key"), "-out", self.ca)

    def path(self, name):
        return os.path.join(self.dir, name)

    def leaf(self, name, san="DNS:localhost,IP:127.0.0.1", to=None, days=30, subject=None):
        """(certificate, key) files, good for so many days; `to`: written over the files of that name; `subject`: of openssl, "/O=x/CN=y"."""
        to = to or name
        crt, key, csr, ext = (self.path(to + e) for e in (".crt", ".key", ".csr", ".ext"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-subj", subject or f"/CN={name}",
                "-keyout", key, "-out", csr)
        with open(ext, "w") as f:
            f.write(f"subjectAltName={san}\n")
        openssl("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.path(self.name + ".key"), "-CAcreateserial", "-days", str(days),
                "-extfile", ext, "-out", crt)
        return crt, key
